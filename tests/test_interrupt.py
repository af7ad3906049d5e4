"""Signals and the time limit."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from sweeper.run.interrupt import interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_insists(number: int) -> None:
    asked: list[str] = []
    before = signal.signal(number, signal.default_int_handler)  # not ignored, as nohup has it
    with interruptible(asked.append):
        os.kill(os.getpid(), number)
        assert len(asked) == 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.signal(number, before) == signal.default_int_handler


def test_time_is_up_once() -> None:
    asked: list[str] = []
    with interruptible(asked.append, seconds=0.05):
        deadline = time.monotonic() + 30
        while not asked and time.monotonic() < deadline:
            time.sleep(0.01)
    assert asked == ["interrupted, because the time of --timeout is over"]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_signals_are_taken_back_from_a_library() -> None:
    asked: list[str] = []
    with interruptible(asked.append) as take:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        take()
        os.kill(os.getpid(), signal.SIGTERM)
    assert asked == ["interrupted by SIGTERM"]


def test_what_nohup_ignores_stays_ignored() -> None:
    asked: list[str] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible(asked.append):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert asked == []


def test_an_alarm_of_somebody_else_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with interruptible(lambda reason: None):
        assert signal.getsignal(signal.SIGALRM) == before


def test_outside_the_main_thread_nothing_is_caught() -> None:
    def run() -> None:
        with interruptible(lambda reason: None):
            ran.append(True)

    ran: list[bool] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran == [True]
