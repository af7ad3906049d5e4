"""A notebook with its outputs as Markdown; it is not run."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any


def notebook(file: Path) -> str:
    """Text cells as they are, code cells and their outputs in code blocks, pictures inside the page."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in parts_of(cell))


def parts_of(cell: dict[str, Any]) -> list[str]:
    """The Markdown of one cell."""
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return [source]
    return [f"```python\n{source}\n```", *filter(None, map(shown, cell["outputs"]))]


def shown(output: dict[str, Any]) -> str:
    """One output: a picture, or text."""
    data = output.get("data", {})
    if "image/png" in data:
        png = base64.b64encode(base64.b64decode("".join(data["image/png"]))).decode()
        return f'<img alt="Figure of the cell above" src="data:image/png;base64,{png}">'
    text = "".join(output.get("text") or data.get("text/plain", ""))
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""
