"""What is shown while a data set is read or packed: a phase of the sweep, or for `pack` a bar on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sweeper.config.model import SweepConfig
from sweeper.run.observers.base import Observer, Phase
from sweeper.run.options import RunOptions
from trainers.formats import one_line

if TYPE_CHECKING:
    from trainers.packs.write import Tell

LEAST: Final = 1
"""Images that are still to be packed, from which on something is shown."""
READING: Final = "reading the images"
PACKING: Final = "packing the images"


class PackingBar:
    """Called with the images that have been packed, and all; shown from the first call on until all are."""

    def __init__(self, what: str, folder: Path, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.text = packed_where(what, folder)
        columns = (TextColumn("packing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.task = self.bar.add_task("packing", total=None)

    def __call__(self, done: int, total: int) -> None:
        if not self.bar.live.is_started and total - done >= LEAST:
            self.console.print(one_line(self.text), markup=False, soft_wrap=True)
            if done:
                self.console.print(f"{done:,} of {total:,} images were packed before", markup=False)
            self.bar.start()
        self.bar.update(self.task, completed=done, total=total)
        if done == total:
            self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar.live.is_started:
            self.bar.stop()


def packed_where(what: str, folder: Path) -> str:
    """Where a data set is packed, and how another place is set."""
    return f"{what} is packed once into {folder} (--cache or SWEEPER_CACHE sets another place)"


@contextmanager
def reading_images(config: SweepConfig, told: Observer) -> Iterator[Tell | None]:
    """The phase in which a sweep reads its images; what is yielded is called while they are packed."""
    from trainers.images import packed_in

    folder = packed_in(config.dataset)
    note = "" if folder is None else packed_where(f"the data set {config.dataset['name']}", folder)

    def tell(done: int, total: int) -> None:
        if total - done >= LEAST:
            told.on_phase(Phase(PACKING, done, total, note))
        else:
            told.on_phase_end(PACKING)

    told.on_phase(Phase(READING))
    try:
        yield None if folder is None else tell
    finally:
        told.on_phase_end(PACKING)
        told.on_phase_end(READING)


def packing_bar(config: SweepConfig, options: RunOptions) -> PackingBar | None:
    """The bar for a sweep's data set; None where nothing is packed or nothing is to be shown."""
    from trainers.images import packed_in

    if options.quiet or options.as_json:
        return None
    folder = packed_in(config.dataset)
    return None if folder is None else PackingBar(f"the data set {config.dataset['name']}", folder)
