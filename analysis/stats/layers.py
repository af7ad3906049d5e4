"""Which layer of the network the plain column of a criterion repeats."""

from __future__ import annotations

from collections.abc import Sequence

from pandas import DataFrame

from analysis.data.columns import ScoreColumn
from trainers.records import LAYERS, criterion_columns


def layers_in(trials: DataFrame, criterion: str) -> list[str]:
    """The layers that the plain column repeats in at least one trial; none if the two layers have equal values."""
    plain, first, second = (ScoreColumn(name).scores(trials) for name in criterion_columns(criterion))
    differ = first != second
    return [layer for layer, scores in zip(LAYERS, (first, second), strict=True) if (differ & (plain == scores)).any()]


def layer_of(trials: DataFrame, criterion: str) -> str:
    """The layer that the plain column repeats, or "" if it is unknown or differs between trials."""
    layers = layers_in(trials, criterion)
    return layers[0] if len(layers) == 1 else ""


def layers_of(trials: DataFrame, criteria: Sequence[str]) -> dict[str, str]:
    """criterion -> the layer that its plain column repeats; only criteria whose layer is known."""
    return {name: layer for name in criteria if (layer := layer_of(trials, name))}
