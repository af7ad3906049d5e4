"""Downloads of data sets, by the library that knows where they are; only where `dataset.download` is true."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout


def fetch(make: Callable[[], object], what: str) -> None:
    """Call torchvision's constructor, which downloads and unpacks the data set.

    Raises:
        ValueError: it could not be downloaded.
    """
    try:
        with redirect_stdout(sys.stderr):  # a command's output may be JSON
            make()
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"`dataset.download` could not get {what} ({reason}); get it by other means, or try again"
        ) from None
