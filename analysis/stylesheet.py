"""The stylesheet of the report: light, dark and printed."""

STYLESHEET = """
:root{--paper:#fff;--panel:#f6f8fa;--ink:#1c2128;--muted:#66707c;--rule:#d9dee4;--warn:#8a5a00;--warn-paper:#fff7e6}
@media (prefers-color-scheme:dark){:root{--paper:#14171c;--panel:#1c2128;--ink:#e6e9ee;--muted:#9aa4b1;--rule:#343b45;--warn:#f0c060;--warn-paper:#2a2416}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Inter,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:1180px;margin:0 auto;padding:28px 20px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:18px;margin:40px 0 10px;overflow-wrap:anywhere}
p{max-width:74ch;margin:8px 0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums;width:100%}
th{font-weight:600;color:var(--muted);border-bottom:1.5px solid var(--rule);padding:6px 10px;white-space:nowrap;text-align:right}
td{padding:6px 10px;border-bottom:1px solid var(--rule);white-space:nowrap;text-align:right}
th.w,td.w{text-align:left}
.note{color:var(--muted);font-size:13px}
.copies{display:flex;gap:16px;flex-wrap:wrap;margin-top:6px;font-size:12.5px;color:var(--muted)}
summary{cursor:pointer}
pre{background:var(--panel);border:1px solid var(--rule);border-radius:6px;padding:10px;overflow-x:auto;font-size:12px;color:var(--ink)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:22px;align-items:start}
figure{margin:0;min-width:0}
figcaption{font-size:13px;color:var(--muted);margin-top:4px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-family:inherit}
.hover{cursor:default}
.hover:hover{opacity:.65}
@media (max-width:600px){main{padding:18px 14px 48px}h1{font-size:21px}}
@media print{:root{--paper:#fff;--panel:#f6f8fa;--ink:#1c2128;--muted:#66707c;--rule:#d9dee4}main{max-width:none;padding:0}.copies{display:none}figure,.table,tr{break-inside:avoid}h2{break-after:avoid}.figures{grid-template-columns:repeat(2,1fr)}body{font-size:11pt}}
"""
