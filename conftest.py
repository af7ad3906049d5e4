"""Settings of the test run that hold for `tests/` and for the doctests of the packages."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest

# One thread for each of pytest's workers: with more they would wait for each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Run doctests without the garbage collector.

    A doctest calls `linecache.checkcache`, which raises KeyError if SQLAlchemy removes the source of a generated
    function from that cache meanwhile; SQLAlchemy does so when the function is collected.
    """
    if not isinstance(item, pytest.DoctestItem):
        return (yield)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
