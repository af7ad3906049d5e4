"""result.json: how a trial ended, and what its oracles said."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sweeper.errors import ResultsError
from sweeper.store.atomic import write_text
from sweeper.store.check import check_rows
from trainers.records import TRIAL_COLUMNS, Column, OracleScore, TrialResult

RESULT_COLUMNS: Final = (
    *(column for column in TRIAL_COLUMNS if column.name in ("trial", "status", "reason", "epochs", "checkpoint")),
    Column("probe_error", "text", ""),
)
"""What a result.json holds besides the scores of oracles."""
SCORE_COLUMNS: Final = (Column("accuracy", "number", ""), Column("n", "whole", ""), Column("seconds", "number", ""))


@dataclass(frozen=True)
class Outcome:
    """The content of result.json: how the trial ended, and which oracles ran (none where there are no labels)."""

    result: TrialResult
    probed: tuple[str, ...] = ()
    probe_error: str = ""


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write a trial's result.json, whole or not at all."""
    content = asdict(outcome.result) | {"probed": list(outcome.probed), "probe_error": outcome.probe_error}
    write_text(path / "result.json", json.dumps(content, indent=2) + "\n")


def read_outcome(path: Path) -> Outcome | None:
    """A trial's result.json; None where it is missing or cannot be read."""
    file = path / "result.json"
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text())
        probed, error = tuple(content.pop("probed")), content.pop("probe_error")
        scores = content.pop("oracles")
        check_rows([content | {"probe_error": error}], RESULT_COLUMNS, file)
        check_rows(scores.values(), SCORE_COLUMNS, file)
        for score in scores.values():  # an earlier version wrote no further metrics
            further = score.get("further", {})
            check_rows([further], [Column(name, "number", "") for name in further], file)
        oracles = {name: OracleScore(**score) for name, score in scores.items()}
        return Outcome(TrialResult(**content, oracles=oracles), tuple(map(str, probed)), error)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ResultsError):
        return None
