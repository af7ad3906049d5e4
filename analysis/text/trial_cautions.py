"""What to know about the trials before relying on τ: their oracle, their states and how they were measured."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any, Final

from pandas import DataFrame

from analysis.data.columns import condition_columns, find_criteria
from analysis.data.headings import NAME
from analysis.stats.audit import difference_error
from analysis.stats.layers import layers_in
from analysis.stats.selection import completed
from analysis.text.numbers import label_of, points
from trainers.formats import accuracy, counted, listed
from trainers.records import COLLAPSED, DIVERGED, FAILED, PRUNED, RAW_PIXELS, UNTRAINED

SHARE: Final = 0.25
"""The share of trials that collapsed, failed or learnt little from which a caution is given."""

Caution = tuple[str, str]
"""Its kind, and its text."""


def advice(trials: DataFrame, text: str) -> str:
    """Advice that names a command for a sweep; nothing for a table that no sweep wrote, where it would not work.

    >>> advice(DataFrame({"sweep": ["a"], "configuration": [0]}), " `sweeper resume NAME` continues it.")
    ' `sweeper resume a` continues it.'
    >>> advice(DataFrame({"sweep": ["table"]}), " `sweeper resume NAME` continues it.")
    ''
    """
    return text.replace("NAME", shlex.quote(str(trials["sweep"].iloc[0]))) if "configuration" in trials else ""


def about_oracle(trials: DataFrame, baselines: DataFrame) -> list[Caution]:
    """No oracle, an oracle in other units, trials that were not measured, an oracle that tells trials little apart."""
    truth = trials["oracle"].dropna()
    if truth.empty:
        text = "No trial was measured by an oracle, so each criterion selects a trial but cannot be judged."
        text += (
            advice(
                trials,
                " If the images have labels, `sweeper probe NAME --oracle lidar_paper` measures the trials that kept a "
                "checkpoint.",
            )
            or " Name the column with the accuracy: `--oracle COLUMN`."
        )
        return [("no oracle", text)]
    found = []
    low, high = float(truth.min()), float(truth.max())
    if high > 1 or low < 0:
        text = f"The oracle runs from {low:g} to {high:g}. These are not fractions, so no percent sign is shown."
        found.append(("units", text))
    unmeasured = int((completed(trials)["oracle"].isna()).sum())
    if unmeasured:
        text = f"{counted(unmeasured, 'completed trial')} {'was' if unmeasured == 1 else 'were'} not measured, and the "
        text += "best trial may be among them."
        text += advice(trials, " `sweeper probe NAME` measures the trials that kept a checkpoint.")
        found.append(("unmeasured", text))
    if low == high:  # what follows compares trials
        return [*found, *about_range(trials)]
    return [*found, *about_range(trials), *about_baselines(trials, baselines)]


def about_range(trials: DataFrame) -> list[Caution]:
    """Accuracies that differ by little more than chance."""
    truth = trials["oracle"].dropna()
    low, high = float(truth.min()), float(truth.max())
    images = float(trials["oracle_n"].max()) if "oracle_n" in trials else math.nan
    error = difference_error(high, low, images)
    if len(truth) < 2 or (high > low and (not error or high - low >= 4 * error)):
        return []
    if high == low:
        text = f"Every trial has the same accuracy, {accuracy(high)}, so no criterion can rank the trials."
    else:
        text = f"The accuracies run from {accuracy(low)} to {accuracy(high)}. On {images:.0f} test images, two of them "
        text += f"can differ by {points(2 * error, high)} by chance, so much of the ranking is noise."
    return [("narrow oracle", f"{text} Widen the ranges of `space`, or use an oracle or data that tell trials apart.")]


def about_baselines(trials: DataFrame, baselines: DataFrame) -> list[Caution]:
    """Trials that are no better than the raw pixels or than the untrained encoder."""
    truth = trials["oracle"].dropna()
    found = []
    pixels, untrained = (baseline_oracle(baselines, name) for name in (RAW_PIXELS, UNTRAINED))
    if truth.max() <= pixels:
        text = f"No trial has a higher accuracy than a probe on the raw pixels ({accuracy(pixels)}). Encoders that "
        text += "learnt more may rank differently: train longer (`epochs`), or use harder data."
        found.append(("below raw pixels", text))
    images = float(trials["oracle_n"].max()) if "oracle_n" in trials else math.nan
    below = sum(value - untrained <= 2 * difference_error(value, untrained, images) for value in truth)
    if below >= SHARE * len(truth):
        text = f"{below} of {len(truth)} trials are not clearly above the untrained encoder ({accuracy(untrained)}). "
        text += "They learnt little, and τ depends on how they are ranked: train longer (`epochs`) or narrow `space`."
        found.append(("near the untrained", text))
    return found


def baseline_oracle(baselines: DataFrame, baseline: str) -> float:
    """The oracle of a baseline; NaN where it was not measured."""
    if "oracle" not in baselines:
        return math.nan
    found = baselines.loc[baselines["baseline"] == baseline, "oracle"].dropna()
    return float(found.iloc[0]) if len(found) else math.nan


def about_pruning(trials: DataFrame, ranks: DataFrame) -> list[Caution]:
    """τ over the trials that a pruner let run, or over trials measured at different epochs."""
    pruned = trials[trials["status"] == PRUNED]
    if pruned.empty or trials["oracle"].isna().all():
        return []
    unmeasured = int(pruned["oracle"].isna().sum())
    if not unmeasured:
        text = f"The {counted(len(pruned), 'pruned trial')} were measured at the epoch at which they stopped, and the "
        return [("unlike epochs", f"{text}others at the last epoch: these accuracies are not directly comparable.")]
    text = f"{counted(unmeasured, 'pruned trial')} {'was' if unmeasured == 1 else 'were'} not measured"
    if len(ranks) and ranks["weighted"].any():
        text += ". The audited trials represent them, each with a larger weight. With few audited trials the intervals "
        return [("survivors only", f"{text}are too narrow: raise `pruner.audit` in the next sweep.")]
    text += ", so τ is over the trials that the pruner let run. A criterion can look better or worse there than it is. "
    return [("survivors only", f"{text}To measure this, set `pruner.audit` or `oracle_pruned=true` in the next sweep.")]


def about_failures(trials: DataFrame) -> list[Caution]:
    """Trials that were interrupted; many trials that collapsed or failed."""
    found = []
    known = {"started_at", "finished_at"} <= set(trials)
    unfinished = trials["started_at"].notna() & trials["finished_at"].isna() if known else trials["status"].isna()
    interrupted = unfinished & (trials["status"] == FAILED)  # `sweeper resume` continues such a trial
    if interrupted.any():
        text = f"{int(interrupted.sum())} of {len(trials)} trials were interrupted, so the sweep is not finished."
        found.append(("unfinished", text + advice(trials, " `sweeper resume NAME` continues it.")))
    for status, guess in (
        (COLLAPSED, "The ranges of `space` may be too wide"),
        (DIVERGED, "The learning rates may be too high"),
        (FAILED, "The set-up may have an error"),
    ):
        count = int(((trials["status"] == status) & ~interrupted).sum())
        if count >= SHARE * len(trials):
            text = f"{count} of {len(trials)} trials {status}. {guess}"
            found.append((status, text + (advice(trials, "; `sweeper show NAME --trial NUMBER` says why.") or ".")))
    return found


def about_images(settings: Mapping[str, Any]) -> list[Caution]:
    """Files of the data set that no trial has seen, because they could not be read; `settings` is the sweep.yaml."""
    origin = settings.get("provenance")
    count = origin.get("unreadable") if isinstance(origin, Mapping) else None
    if not isinstance(count, int) or count < 1:
        return []
    text = f"{counted(count, 'image file')} could not be read and {'was' if count == 1 else 'were'} left out: "
    return [("unreadable files", f"{text}unreadable.txt in the sweep's folder lists {'it' if count == 1 else 'them'}.")]


def about_weights(settings: Mapping[str, Any]) -> list[Caution]:
    """Trials that start from weights, so that what is called untrained has been trained elsewhere."""
    encoder = settings.get("encoder")
    if not isinstance(encoder, Mapping) or not encoder.get("weights"):
        return []
    text = "The trials start from a file of weights, and the untrained encoder is the one of that file."
    return [("start from weights", text)]


def about_conditions(trials: DataFrame) -> list[Caution]:
    """Criteria measured under different conditions, on different layers, or on different encoders."""
    found = []
    mixed = [column for column in condition_columns(trials.columns) if trials[column].nunique() > 1]
    for name in find_criteria(trials.columns):
        if len(layers := layers_in(trials, name)) > 1:
            text = f"{label_of(name)} was measured on the {layers[0]} in some trials and on the {layers[1]} in others. "
            found.append(("mixed layers", f"{text}Judge one layer: `--criteria {name}.{layers[0]}`."))
    if mixed:
        text = f"The trials differ in {listed(mixed)}, which changes a criterion by itself. "
        found.append(("mixed conditions", f"{text}Compare only trials with equal settings."))
    if "encoder" in trials and trials["encoder"].nunique() > 1:
        names = listed(sorted(map(str, trials["encoder"].dropna().unique())))
        text = f"The trials have different encoders ({names}). Compare a criterion only within one encoder."
        found.append(("mixed encoders", text))
    return found


def about_repeats(trials: DataFrame) -> list[Caution]:
    """Rows of a table with the same name: one run may stand twice."""
    if NAME not in trials:
        return []
    names = trials[NAME].dropna().astype(str)
    twice = sorted(set(names[names.duplicated()]))
    if not twice:
        return []
    shown = listed(twice[:3]) + (f" and {len(twice) - 3} others" if len(twice) > 3 else "")
    text = f"The table has several rows named {shown}. Each row counts as a trial: take out rows that are the same run."
    return [("repeated names", text)]
