"""One sweep in Python: its tables, the trial that a criterion selects, and the encoders that it kept."""

from __future__ import annotations

import html
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    from pandas import DataFrame

    from analysis.data.results import Results
    from analysis.report.write import Report
    from sweeper.store.listing import Listing
    from trainers.export import ExportedEncoder


@dataclass(frozen=True)
class Chosen:
    """The trial that a criterion selects."""

    trial: int
    criterion: str
    value: float
    """The criterion's, after the last epoch."""
    hyperparameters: Mapping[str, Any]
    """Those that the sweep varied come first."""
    accuracy: float | None
    """The oracle's; None if none measured the trial."""
    best_accuracy: float | None
    """Of the trial with the best accuracy."""
    checkpoint: Path | None
    """None if it was not kept."""
    config: Mapping[str, Any] = field(repr=False)
    """The search space of one trial that trains it again: `sweeper.run(chosen.config, "epochs=100")`."""

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        values = {f"{self.criterion} (trial {self.trial})": self.value, **self.hyperparameters}
        if self.accuracy is not None:
            values["accuracy"] = self.accuracy
        cells = (f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(_short(v))}</td></tr>" for k, v in values.items())
        return f"<table>{''.join(cells)}</table>"


class Sweep:
    """A sweep on disk; each property reads its files anew, so that it shows a running sweep as it is now."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.resolve().name

    @property
    def state(self) -> str:
        """finished · running · interrupted."""
        return self._listing.state

    @property
    def config(self) -> dict[str, Any]:
        """The value of every key of its search space; `sweeper.run` takes it."""
        from sweeper.store.manifest import PROVENANCE, read_settings

        return {key: value for key, value in read_settings(self.folder).items() if key != PROVENANCE}

    @property
    def trials(self) -> DataFrame:
        """One row per trial that started: status, what varied, criteria after the last epoch, accuracies."""
        from sweeper.notebook.frames import trials_frame

        return trials_frame(self._listing)

    @property
    def reports(self) -> DataFrame:
        """One row per trial and epoch; `sweep.reports["lidar"].unstack("trial").plot()` draws the curves."""
        from sweeper.notebook.frames import reports_frame

        return reports_frame(self._listing)

    @property
    def baselines(self) -> DataFrame:
        """The untrained encoder, and raw pixels if an oracle ran."""
        from sweeper.notebook.frames import baselines_frame

        return baselines_frame(self._listing)

    @property
    def results(self) -> Results:
        """The full tables, with all columns, as the functions of `analysis` take them.

        Raises:
            ResultsUnreadable: the sweep has no tables yet.
        """
        from analysis import load

        return load(self.folder)

    def best(self, criterion: str | None = None) -> Chosen:
        """The completed trial that a criterion selects; None = the sweep's objective.

        Raises:
            ResultsError: no trial has completed, or none has the criterion.
        """
        from sweeper.cli.choice import choose

        choice = choose(self._listing, criterion)
        return Chosen(
            trial=choice.trial,
            criterion=choice.criterion,
            value=choice.value,
            hyperparameters=choice.hyperparameters,
            accuracy=choice.accuracy,
            best_accuracy=choice.best_accuracy,
            checkpoint=Path(choice.checkpoint) if choice.checkpoint else None,
            config=choice.file,
        )

    def encoder(self, which: SupportsIndex | str | None = None) -> ExportedEncoder:
        """The encoder that the criteria measured, on the CPU and in eval mode.

        It takes pixels in [0, 1], (b, c, h, w), and normalises them itself.

        Args:
            which: a trial's number, or a criterion that selects one; None = the sweep's objective.

        Raises:
            ResultsError: there is no such trial, or it kept no checkpoint, or the images have changed since.
        """
        from tempfile import TemporaryDirectory

        from trainers.export import load_encoder

        with TemporaryDirectory() as folder:
            return load_encoder(self.export(Path(folder) / "encoder", which))

    def export(self, out: str | Path, which: SupportsIndex | str | None = None) -> Path:
        """Write the encoder to a new folder, as `sweeper export` does; the folder. `which` is that of `encoder`.

        Raises:
            ResultsError: as for `encoder`; or the folder holds something.
        """
        from sweeper.cli.export import export_trial

        criterion = which if isinstance(which, str) else None
        trial = None if which is None or isinstance(which, str) else operator.index(which)
        export_trial(self._listing, Path(out), trial=trial, criterion=criterion, kinds=())
        return Path(out)

    def analyze(self, out: str | Path | None = None) -> Report:
        """Judge the criteria and write the report, to `analysis/` of the sweep unless `out` names another folder.

        Raises:
            ResultsUnreadable: there are no trials to analyse.
        """
        from analysis import analyze

        return analyze([self.folder], out=None if out is None else Path(out))

    def resume(self, *, trials: int | None = None, **options: Any) -> Sweep:
        """Continue the sweep, with more configurations if `trials` says so; the options are those of `sweeper.run`.

        Raises:
            ConfigError: an option is wrong, or fewer `trials` than have been started.
            ResultsError: another process runs the sweep.
        """
        from sweeper.run.observers import make_observers
        from sweeper.run.options import RunOptions
        from sweeper.run.sweep import resume_sweep

        where = RunOptions(**options)
        resume_sweep(self.folder, where, make_observers(where), trials=trials)
        return self

    @property
    def _listing(self) -> Listing:
        from sweeper.store.listing import open_listing

        return open_listing(str(self.folder.absolute()), self.folder.absolute().parent)

    def __repr__(self) -> str:
        """The state of the sweep in a line."""
        return f"<Sweep {self._line()}>"

    def _repr_html_(self) -> str:
        """The line and the trials, for a notebook."""
        return f"<p>{html.escape(self._line())}</p>{self.trials.to_html(max_rows=20, notebook=True)}"

    def _line(self) -> str:
        from sweeper.errors import SweeperError

        try:
            listing = self._listing
        except SweeperError as error:
            return f"{self.name}: {error}"
        ended = ", ".join(f"{count} {status}" for status, count in listing.counts.items()) or "none has started"
        text = f"{listing.name}: {listing.state}, {listing.runs} trials ({ended})"
        try:
            best = self.best()
        except SweeperError:
            return text
        accuracy = f", accuracy {best.accuracy:.1%}" if best.accuracy is not None else ""
        return f"{text}, best {best.criterion} {_short(best.value)} of trial {best.trial}{accuracy}"


def _short(value: object) -> str:
    """A value in four figures, if it is a number."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
