"""How the page of a report looks, on screens light, dark and narrow, and printed."""

from __future__ import annotations

from typing import Final

STYLESHEET: Final = """
:root {
  --paper: #fff; --panel: #f6f8fa; --ink: #1c2128; --muted: #5b6570; --rule: #d9dee4; --link: #0b63a8;
  --warn: #d9a400; --warn-paper: #fff8e1;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --panel: #1d2229; --ink: #e6e9ee; --muted: #9aa4b1; --rule: #343b45; --link: #6db8f2;
    --warn: #c99a1a; --warn-paper: #262214;
  }
}
* { box-sizing: border-box }
body {
  margin: 0; background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Inter, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 30px 24px 72px }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere }
h2 { font-size: 19px; margin: 46px 0 10px; line-height: 1.3 }
h3 { font-size: 13px; font-weight: 600; color: var(--muted); margin: 18px 0 4px }
p { max-width: 78ch; margin: 7px 0 }
a { color: var(--link) }
.headline, .note, figcaption { color: var(--muted) }
.note { font-size: 13px }
aside {
  border-left: 3px solid var(--warn); background: var(--warn-paper); padding: 10px 16px; margin: 14px 0;
  max-width: 84ch; border-radius: 0 6px 6px 0;
}
aside ul { margin: 4px 0 0; padding-left: 18px }
.scroll {
  overflow-x: auto;
  background: linear-gradient(to right, transparent, var(--paper) 60%) right / 36px 100% no-repeat local,
    linear-gradient(to right, transparent, var(--rule)) right / 14px 100% no-repeat scroll;
}
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums }
th, td { padding: 5px 22px 5px 0; white-space: nowrap; text-align: right; border-bottom: 1px solid var(--rule) }
th { font-weight: 600; color: var(--muted); border-bottom: 1.5px solid var(--muted) }
th.w, td.w { text-align: left }
th:last-child, td:last-child { padding-right: 4px }
tr.first td { border-top: 2px solid var(--muted) }
.copies { display: flex; gap: 16px; flex-wrap: wrap; margin-top: 4px; font-size: 12.5px; color: var(--muted) }
.copies details[open] { flex-basis: 100% }
summary { cursor: pointer }
code { font-size: .92em }
button {
  font: inherit; color: var(--link); background: none; border: 1px solid var(--rule); border-radius: 5px;
  padding: 1px 10px; margin: 6px 0; cursor: pointer;
}
pre {
  margin: 0; background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: 10px;
  overflow-x: auto; font-size: 12px; line-height: 1.4; color: var(--ink);
}
.figures {
  display: grid; gap: 26px 28px; align-items: start; margin-top: 16px;
  grid-template-columns: repeat(auto-fill, minmax(min(340px, 100%), 1fr));
}
figure { margin: 0; min-width: 0; max-width: 560px }
figcaption { font-size: 12.5px; line-height: 1.45; margin-top: 2px }
svg { display: block; width: 100%; height: auto; overflow: visible }
svg text { font-family: system-ui, -apple-system, "Segoe UI", Inter, "Helvetica Neue", Arial, sans-serif }
.hover:hover { opacity: .6 }
@media (min-width: 901px) {
  td.w:last-child { white-space: normal; min-width: 11em }
}
@media (max-width: 600px) {
  main { padding: 18px 14px 48px }
  h1 { font-size: 22px }
  h2 { margin-top: 36px }
  th, td { padding-right: 14px }
  .scroll th:first-child, .scroll td:first-child { position: sticky; left: 0; background: var(--paper) }
}
@media print {
  @page { margin: 14mm }
  body { font-size: 10pt }
  main { max-width: none; padding: 0 }
  h2 { margin-top: 20px; break-after: avoid }
  h3 { break-after: avoid }
  .copies, .links { display: none }
  .scroll { overflow: visible; background: none }
  table { font-size: 7.6pt }
  th, td { padding: 2px 9px 2px 0 }
  th, td.w:last-child { white-space: normal }
  figure, tr, aside { break-inside: avoid }
  .figures { grid-template-columns: repeat(2, 1fr) }
}
"""

COPY_SCRIPT: Final = """
for (const button of document.querySelectorAll("details button")) button.onclick = async () => {
  const text = button.nextElementSibling;
  try { await navigator.clipboard.writeText(text.textContent) }
  catch { getSelection().selectAllChildren(text); document.execCommand("copy") }
  button.textContent = "copied";
};
"""
