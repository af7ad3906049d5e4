"""What can rebuild a damaged table of a sweep; the commands and the analysis say the same. Standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SWEEP: Final = "sweep.yaml"
STUDY: Final = "study.db"
LOG: Final = "reports.jsonl"
WITHOUT: Final = {
    "reports": "without the values by epoch",
    "baselines": "without the untrained encoder and the raw pixels",
}
"""Table -> how a sweep is read if it is not there."""


def how_to_rebuild(table: Path) -> str:
    """The end of an error line about a damaged table: the next step; "" for a table that no sweep wrote.

    `sweeper resume` writes trials.parquet and reports.parquet from the study, the log and the trials' result.json,
    and measures the baselines again (tests/test_cli.py).
    """
    folder, stem = table.parent, table.stem.lower()
    if not (folder / SWEEP).is_file():
        return ""
    missing = [name for name in (STUDY, LOG) if not (folder / name).is_file()]
    if not missing:
        how = "measures it again" if stem == "baselines" else f"writes it again from {STUDY} and {LOG}"
        return f"; `sweeper resume {folder}` {how}"
    without = f", or delete it to read the sweep {WITHOUT[stem]}" if stem in WITHOUT else ""
    return (
        f"; {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing, so copy it from a backup{without}"
    )
