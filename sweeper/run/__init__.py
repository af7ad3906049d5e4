"""Running a sweep: what runs next, who does it, and what becomes of the results.

`sweeper.run(config)` runs a sweep too: the package can be called, because `import sweeper.run.…` sets it as
`sweeper.run`, whatever was there before. The function is `sweeper.notebook.start.run`.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """This package."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run a sweep to its end and return it; see `help(sweeper.notebook.start.run)`."""
        return self._function(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._function)

    @property
    def _function(self) -> Any:
        import sweeper

        return sweeper.start_sweep


sys.modules[__name__].__class__ = _Room
