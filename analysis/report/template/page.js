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

addEventListener("beforeprint", () => { for (const folded of document.querySelectorAll("aside details, .words")) folded.open = true });
