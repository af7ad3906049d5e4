// Each button copies the text beside it; if the clipboard API is not available, the text is selected and copied.
for (const button of document.querySelectorAll(".copies button")) button.onclick = async () => {
  const text = button.nextElementSibling;
  try { await navigator.clipboard.writeText(text.textContent) }
  catch { getSelection().selectAllChildren(text); document.execCommand("copy") }
  button.textContent = "copied";
};

// A heading sorts its table: numbers from the largest, words from A; once more turns the order; empty cells stay last.
const number = text => parseFloat(text.replace("−", "-").replace("<", ""));
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((heading, place) => heading.firstChild.onclick = () => {
    const up = heading.ariaSort === "descending" || (heading.ariaSort !== "ascending" && heading.className === "w");
    const words = heading.className === "w";
    const key = row => { const text = row.cells[place].textContent.trim(); return words ? text : number(text) };
    const empty = value => value === "" || value === "–" || Number.isNaN(value);
    const rows = [...body.rows].map(row => [key(row), row]);
    rows.sort(([a], [b]) => empty(a) || empty(b) ? empty(a) - empty(b)
      : (up ? 1 : -1) * (words ? a.localeCompare(b, undefined, {numeric: true}) : a - b));
    body.append(...rows.map(([, row]) => row));
    table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    heading.ariaSort = up ? "ascending" : "descending";
  });
}

// Parallel coordinates: the pointer names a trial; a drag along an axis keeps the trials in it, here and in the table.
for (const figure of document.querySelectorAll(".brushed")) {
  const svg = figure.querySelector("svg");
  const add = (name, parent, attributes) => {
    const made = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return parent.appendChild(made);
  };
  const points = path => path.getAttribute("d").match(/-?[\d.]+ -?[\d.]+/g).map(point => point.split(" ").map(Number));
  const says = figure.insertBefore(document.createElement("p"), figure.querySelector("figcaption"));
  says.className = "live";
  const lines = [...svg.querySelectorAll("[id*='-trial-']")].map(group => {
    const path = group.querySelector("path"), hover = group.querySelector(".hover");
    add("path", hover, {d: path.getAttribute("d"), class: "reach"});
    const line = {trial: group.id.split("-trial-")[1], group, points: points(path)};
    hover.onpointerenter = () => { point(hover); says.textContent = hover.querySelector("title").textContent };
    hover.onpointerleave = () => { point(null); tell() };
    return line;
  });
  const point = hover => {
    figure.classList.toggle("pointed", hover !== null);
    svg.querySelectorAll(".at").forEach(other => other.classList.remove("at"));
    hover?.classList.add("at");
  };
  const axes = [...svg.querySelectorAll("[id*='-axis-']")].map(group => {
    const [[x, low], [, high]] = points(group.querySelector("path"));
    const axis = {x, top: Math.min(low, high), bottom: Math.max(low, high), range: null};
    const height = axis.bottom - axis.top;
    axis.brush = add("rect", svg, {class: "brush", x: x - 6, width: 12, height: 0});
    axis.grip = add("rect", svg, {class: "grip", x: x - 10, y: axis.top - 6, width: 20, height: height + 12});
    return axis;
  });
  const passes = line => axes.every(({x, range}) => !range ||
    line.points.some(([at, y]) => Math.abs(at - x) < 0.5 && range[0] <= y && y <= range[1]));
  const tell = () => {
    const left = lines.filter(line => !line.group.classList.contains("out")).length;
    says.textContent = axes.some(axis => axis.range)
      ? `${left} of ${lines.length} trials, also in the table of all trials. A click on the axis shows the others again.`
      : "Point at a line to read its trial. Drag along an axis to keep the trials there, also in the table of all trials.";
  };
  const filter = () => {
    for (const line of lines) line.group.classList.toggle("out", !passes(line));
    tell();
  };
  const filterTable = () => {  // at the end of a drag alone, since the page moves
    const all = axes.every(axis => !axis.range), kept = new Set(lines.filter(passes).map(line => line.trial));
    for (const row of document.querySelectorAll("tr[data-trial]")) row.hidden = !all && !kept.has(row.dataset.trial);
  };
  for (const axis of axes) {
    const height = event => {
      const {y} = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      return Math.min(axis.bottom, Math.max(axis.top, y));
    };
    let began = null;
    axis.grip.onpointerdown = event => { began = height(event); axis.grip.setPointerCapture(event.pointerId) };
    axis.grip.onpointermove = event => {
      if (began === null) return;
      const range = [began, height(event)].sort((a, b) => a - b);
      axis.range = range[1] - range[0] > 2 ? [range[0] - 0.5, range[1] + 0.5] : null;
      axis.brush.setAttribute("y", range[0]);
      axis.brush.setAttribute("height", axis.range ? range[1] - range[0] : 0);
      filter();
    };
    axis.grip.onpointerup = axis.grip.onpointercancel = event => {
      axis.grip.onpointermove(event);
      began = null;
      filterTable();
    };
  }
  tell();
}

addEventListener("beforeprint", () => { for (const folded of document.querySelectorAll("aside details, .words")) folded.open = true });
