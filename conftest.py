"""Settings of the test run that hold for `tests/` and for the doctests of the packages."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest

# One thread for each of pytest's workers: with more they would wait for each other. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that no worker has one of them left at the end."""
    ranks = {"kill": 0, "ray": 1, "slow": 2}
    order: dict[Path, int] = {}
    for item in items:
        rank = min((ranks[mark.name] for mark in item.iter_markers() if mark.name in ranks), default=len(ranks))
        order[item.path] = min(rank, order.get(item.path, rank))
    items.sort(key=lambda item: order[item.path])


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
