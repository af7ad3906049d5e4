"""The contract of a criterion: what it shares, records beside its value, and reads of a large sample."""

from __future__ import annotations

import math
import time

import pytest
import torch

from trainers.criteria.base import Criterion, Features


def features_of(n: int, q: int, d: int, seed: int = 0) -> Features:
    views = torch.randn(n, q, d, generator=torch.Generator().manual_seed(seed))
    return Features(views, views.mean(1))


def criterion_of(**changes: object) -> Criterion:
    given = {"name": "mine", "label": "Mine", "function": lambda read: float(read.clean.sum()), "reads_views": False}
    return Criterion(**(given | changes))  # type: ignore[arg-type]


def test_what_is_shared_is_computed_once_for_each_layer() -> None:
    computed = []

    def largest(features: Features) -> float:
        computed.append(features)
        return float(features.clean.max())

    one, two = features_of(5, 2, 3), features_of(5, 2, 3, seed=1)
    assert one.shared(largest) == one.shared(largest) == float(one.clean.max())
    assert two.shared(largest) == float(two.clean.max())
    assert computed == [one, two]


def test_the_seconds_of_what_is_shared_count_for_each_criterion_that_reads_it() -> None:
    features = features_of(5, 2, 3)

    def slow(features: Features) -> float:
        time.sleep(0.01)
        return 1.0

    features.shared(slow)
    features.shared(slow)  # of the same criterion, whose own seconds hold the computation
    assert sum(features.spared.values()) == 0
    features.spared.clear()
    features.shared(slow)
    features.shared(slow)
    assert features.spared[slow] >= 0.01


def test_a_value_beside_is_of_the_layer_that_the_plain_column_repeats() -> None:
    criterion = criterion_of(
        beside={"views": lambda read: float(read.views.sum())}, layer_by_method={"toy": "representation"}
    )
    layers = {"representation": features_of(5, 2, 3), "embedding": features_of(5, 2, 4, seed=1)}
    for method, layer in (("toy", "representation"), ("other", "embedding")):
        measured = criterion.measure(layers, method)
        assert tuple(measured) == criterion.columns
        assert measured["mine"] == measured[f"mine.{layer}"] == float(layers[layer].clean.sum())
        assert measured["mine_views"] == float(layers[layer].views.sum())


def test_a_joint_criterion_has_nothing_beside_it() -> None:
    with pytest.raises(ValueError, match="`mine` must have `function` to have values `beside` it"):
        criterion_of(function=None, joint_function=lambda read: 0.0, beside={"views": lambda read: 0.0})


@pytest.mark.parametrize(
    ("reads_views", "max_rows", "read"), [(False, 7, 7), (True, 20, 5), (True, 6, 2), (False, None, 9), (True, 99, 9)]
)
def test_at_most_max_rows_are_read_and_their_images_recorded(
    reads_views: bool, max_rows: int | None, read: int
) -> None:
    criterion = criterion_of(
        function=lambda got: math.nan if len(got.views) != len(got.clean) else float(len(got.views)),
        reads_views=reads_views,
        max_rows=max_rows,
    )
    assert (
        criterion.measure(dict.fromkeys(("representation", "embedding"), features_of(9, 4, 3)), "toy")["mine"] == read
    )
    assert criterion.record(9, 4)["mine_n"] == read
    first = features_of(9, 4, 3).first(3)
    assert torch.equal(first.views, features_of(9, 4, 3).views[:3])
    assert torch.equal(first.clean, features_of(9, 4, 3).clean[:3])
