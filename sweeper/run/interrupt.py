"""Ctrl-C, SIGTERM and the time limit: the first signal asks the sweep to end, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

REASONS: Final = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "interrupted by SIGTERM",
    signal.SIGHUP: "interrupted, because the terminal was closed",
    signal.SIGALRM: "interrupted, because the time of --timeout is over",
}


@contextmanager
def interruptible(stop: Callable[[str], None], *, seconds: float | None = None) -> Iterator[Callable[[], None]]:
    """Call `stop` with the reason at the first signal or after so many seconds; a second signal raises.

    Yields a function that sets the handlers again, after a library has set its own. Outside of the main thread, where
    Python has no signals, nothing is caught.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    heard: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        signal.setitimer(signal.ITIMER_REAL, 0)  # Ray's handler, where it came first, would abort in three seconds
        if len(heard) > 1:
            raise KeyboardInterrupt
        stop(REASONS[signal.Signals(number)])

    before: dict[int, Any] = {number: signal.getsignal(number) for number in REASONS}
    if before[signal.SIGHUP] == signal.SIG_IGN:  # nohup
        del before[signal.SIGHUP]
    if seconds is None:
        del before[signal.SIGALRM]

    def take() -> None:
        for number in before:
            signal.signal(number, handle)

    take()
    if seconds is not None:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield take
    finally:
        if seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
