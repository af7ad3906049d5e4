"""What is shown while a data set is packed: a bar on stderr, so that stdout stays for the sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sweeper.config.model import SweepConfig
from sweeper.run.options import RunOptions
from trainers.formats import one_line

LEAST: Final = 1
"""Images that are still to be packed, from which on something is shown."""


class PackingBar:
    """Called with the images that have been packed, and all; shown from the first call on until all are."""

    def __init__(self, what: str, folder: Path, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.text = f"{what} is packed once into {folder}"
        columns = (TextColumn("packing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.task = self.bar.add_task("packing", total=None)

    def __call__(self, done: int, total: int) -> None:
        if not self.bar.live.is_started and total - done >= LEAST:
            where = f"{self.text} (--cache or SWEEPER_CACHE sets another place)"
            self.console.print(one_line(where), markup=False, soft_wrap=True)
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


def packing_bar(config: SweepConfig, options: RunOptions) -> PackingBar | None:
    """The bar for a sweep's data set; None where nothing is packed or nothing is to be shown."""
    from trainers.images import packed_in

    if options.quiet or options.as_json:
        return None
    folder = packed_in(config.dataset)
    return None if folder is None else PackingBar(f"the data set {config.dataset['name']}", folder)
