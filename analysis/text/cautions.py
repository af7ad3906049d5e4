"""What a colleague would say before believing the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from pandas import DataFrame

from analysis.data.columns import ScoreColumn, condition_columns, find_criteria, is_layer
from analysis.stats.audit import difference_error
from analysis.stats.selection import completed
from analysis.text.numbers import accuracy, label_of, listed, number, points, sentence
from trainers.records import (
    COLLAPSED,
    FAILED,
    LAYERS,
    PRUNED,
    RAW_PIXELS,
    UNTRAINED,
    criterion_columns,
)

SMALL = 0.05
"""A p below which a criterion and the oracle are said to be related."""
WIDE = 0.5
"""An interval of τ at least so wide cannot tell a useless criterion from a good one (τ 0 from τ 0.5)."""
FOLLOWS = 0.6
"""|τ| with a hyperparameter from which on a criterion is said to follow it."""
HIGH_START = 0.75
"""The share of trials below the untrained encoder from which on a criterion is said to fall."""
SHARE = 0.25
"""The share of trials, collapsed or at the baseline, from which on it is said."""


def cautions(trials: DataFrame, baselines: DataFrame, ranking: DataFrame, partial: DataFrame) -> DataFrame:
    """One row per warning: sweep, kind, text; the tables may hold several sweeps."""
    rows = []
    for sweep, part in trials.groupby("sweep", sort=False):
        base = baselines[baselines["sweep"] == sweep] if "sweep" in baselines else DataFrame()
        ranks = ranking[(ranking["sweep"] == sweep) & ~ranking["criterion"].map(is_layer)]
        given = partial[partial["sweep"] == sweep] if "sweep" in partial else DataFrame()
        found = [
            *about_oracle(part, base),
            *about_size(ranks),
            *about_doubt(ranks),
            *about_states(part, ranks),
            *about_start(part, base, ranks),
            *about_proxies(given),
            *about_conditions(part),
            *about_many(ranks),
        ]
        rows += [{"sweep": str(sweep), "kind": kind, "text": text} for kind, text in found]
    return DataFrame(rows, columns=["sweep", "kind", "text"])


Caution = tuple[str, str]


def about_oracle(trials: DataFrame, baselines: DataFrame) -> list[Caution]:
    """No oracle, an oracle in other units, a range within its own noise, trials that learnt nothing."""
    truth = trials["oracle"].dropna()
    if truth.empty:
        text = "No trial was measured by an oracle, so a criterion can select here, but not be judged. Where the "
        text += (
            "images have labels, `sweeper probe NAME --oracle lidar_paper` measures the trials that kept a checkpoint."
        )
        return [("no oracle", text)]
    found = []
    low, high = float(truth.min()), float(truth.max())
    if high > 1 or low < 0:
        found.append(("units", f"The oracle runs from {low:g} to {high:g}: no fraction, so it is shown as it is."))
    n = float(trials["oracle_n"].max()) if "oracle_n" in trials else math.nan
    error = difference_error(high, low, n)
    unmeasured = int((completed(trials)["oracle"].isna()).sum())
    if unmeasured:
        text = f"{unmeasured} completed trial{'s were' if unmeasured > 1 else ' was'} not measured, so the best may be "
        text += "among them (a probe needs a trial's checkpoint, and `keep_checkpoints` says which are kept)."
        found.append(("unmeasured", text))
    if high == low and len(truth) > 1:
        found.append(("narrow oracle", f"Every trial has the same oracle, {accuracy(high)}: there is nothing to rank."))
    elif len(truth) > 1 and error and high - low < 4 * error:
        found.append(
            (
                "narrow oracle",
                f"The oracle runs from {accuracy(low)} to {accuracy(high)}, and two accuracies over {n:.0f} images "
                f"differ by up to {points(2 * error, high)} by chance: much of the ranking is noise.",
            )
        )
    pixels = baseline_oracle(baselines, RAW_PIXELS)
    if high <= pixels:
        text = f"A probe on the raw pixels ({accuracy(pixels)}) does at least as well as on any trial's encoder."
        found.append(("below raw pixels", text))
    floor = baseline_oracle(baselines, UNTRAINED)
    if math.isfinite(floor):
        below = int(sum(value - floor <= 2 * difference_error(value, floor, n) for value in truth))
        if below >= SHARE * len(truth):
            found.append(
                (
                    "near the untrained",
                    f"{below} of {len(truth)} trials are not clearly above the untrained encoder ({accuracy(floor)}): "
                    "a criterion is judged there on trials that learnt little.",
                )
            )
    return found


def baseline_oracle(baselines: DataFrame, baseline: str) -> float:
    """The oracle of a baseline; NaN where it was not measured."""
    if "oracle" not in baselines:
        return math.nan
    found = baselines.loc[baselines["baseline"] == baseline, "oracle"].dropna()
    return float(found.iloc[0]) if len(found) else math.nan


def about_size(ranks: DataFrame) -> list[Caution]:
    """Too few trials for the intervals to say anything."""
    known = ranks.dropna(subset=["tau"])
    if known.empty or ranks["n"].max() < 3:
        few = int(ranks["n"].max()) if len(ranks) else 0
        return (
            [
                (
                    "too few trials",
                    f"{few} trial{'s' * (few > 1)} with an oracle and a criterion: too few to rank at all.",
                )
            ]
            if few
            else []
        )
    width = known["tau_high"] - known["tau_low"]
    if float(width.min()) >= WIDE:
        return [
            (
                "too few trials",
                f"With n = {int(known['n'].max())} every interval of τ is at least {float(width.min()):.2f} wide: "
                "a useless criterion and one of τ 0.5 can hardly be told apart.",
            )
        ]
    return []


def about_doubt(ranks: DataFrame) -> list[Caution]:
    """A small p beside an interval that holds 0."""
    both = ranks[(ranks["tau_p"] < SMALL) & (ranks["tau_low"] <= 0) & (ranks["tau_high"] >= 0)]
    if both.empty:
        return []
    text = sentence(f"{listed([label_of(str(name)) for name in both['criterion']])}: p is below {SMALL} and yet the ")
    text += "interval of τ holds 0. p asks whether criterion and oracle could be unrelated; the interval asks where τ "
    text += "lies, assumes less, and is wide with few trials. Take it for a hint."
    return [("p and interval", text)]


def about_states(trials: DataFrame, ranks: DataFrame) -> list[Caution]:
    """τ over survivors only; many trials collapsed or failed."""
    found = []
    pruned = trials[trials["status"] == PRUNED]
    if trials["oracle"].isna().all():
        pass  # there is no τ to be over survivors
    elif len(pruned) and pruned["oracle"].isna().any():
        weighted = bool(ranks["weighted"].any()) if len(ranks) else False
        unmeasured = int(pruned["oracle"].isna().sum())
        text = f"{unmeasured} pruned trials were never measured"
        text += (
            "; the audited ones stand for them, each with more weight: few of them make the intervals too narrow."
            if weighted
            else ": τ is over the survivors of what the pruner watched, which flatters or hides a criterion "
            "(`pruner.audit` or `oracle_pruned: true` would tell)."
        )
        found.append(("survivors only", text))
    elif len(pruned):
        found.append(
            ("unlike epochs", f"{len(pruned)} pruned trials were measured where they stopped, others at the end.")
        )
    reasons = trials["reason"].fillna("").astype(str) if "reason" in trials else pd.Series("", index=trials.index)
    interrupted = reasons.str.startswith("interrupted")  # a trial that `sweeper resume` continues has not failed
    if interrupted.any():
        text = f"{int(interrupted.sum())} of {len(trials)} trials were interrupted: the sweep is not finished."
        found.append(("unfinished", text))
    for status, word in ((COLLAPSED, "collapsed"), (FAILED, "failed")):
        count = int(((trials["status"] == status) & ~interrupted).sum())
        if count >= SHARE * len(trials):
            found.append(
                (word, f"{count} of {len(trials)} trials {word}: the ranges reach too far, or something is wrong.")
            )
    return found


def about_start(trials: DataFrame, baselines: DataFrame, ranks: DataFrame) -> list[Caution]:
    """Criteria that most trials end below the untrained encoder in, and that are not known to rank the trials."""
    start = baselines[baselines["baseline"] == UNTRAINED] if "baseline" in baselines else DataFrame()
    falling = []
    for row in ranks.to_dict("records") if len(start) else ():
        criterion = ScoreColumn(str(row["criterion"]))
        known, scores = criterion.scores(start), criterion.scores(completed(trials)).dropna()
        if not row["higher_is_better"] or row["tau_low"] > 0 or known.isna().all() or scores.empty:
            continue
        below = int((scores < known.iloc[0]).sum())
        if below >= HIGH_START * len(scores):
            ahead = "every completed trial" if below == len(scores) else f"{below} of {len(scores)} completed trials"
            falling.append(f"{label_of(criterion.name)} of {known.iloc[0]:.3g} (above {ahead})")
    if not falling:
        return []
    text = f"The untrained encoder has {listed(falling)}: a high value need not mean that more was learnt here."
    return [("high at the start", text)]


def about_proxies(partial: DataFrame) -> list[Caution]:
    """A criterion that only follows a hyperparameter."""
    found = []
    for row in partial.to_dict("records"):
        follows, given = float(row["tau_criterion"]), float(row["tau_given"])
        if not abs(follows) >= FOLLOWS:
            continue
        name, criterion = row["hyperparameter"], label_of(str(row["criterion"]))
        low, high = float(row["tau_given_low"]), float(row["tau_given_high"])
        left = number(given) if math.isnan(low) else f"{number(given)} [{number(low)}, {number(high)}]"
        text = sentence(f"{criterion} {'rises' if follows > 0 else 'falls'} with {name} (τ = {number(follows)})")
        if not math.isfinite(given):
            wholly = "it" if abs(follows) == 1 else "the oracle"
            text += f"; what its τ would be given {name} cannot be computed, since {wholly} follows {name} wholly."
        else:
            text += f"; given {name}, its τ with the oracle is {'still ' if low > 0 or high < 0 else ''}{left}"
            unclear = f", of {row['n']} trials." if math.isnan(low) else ", not clearly other than 0."
            text += "." if low > 0 or high < 0 else unclear
        found.append(("follows a hyperparameter", text))
    return found


def about_conditions(trials: DataFrame) -> list[Caution]:
    """Criteria measured under unlike conditions, or on several encoders."""
    found = []
    mixed = [column for column in condition_columns(trials.columns) if trials[column].nunique() > 1]
    for name in find_criteria(trials.columns):
        if len(layers := layers_in(trials, name)) > 1:
            text = f"{label_of(name)} is of the {layers[0]} in some trials and of the {layers[1]} in others."
            found.append(("mixed layers", text))
    if mixed:
        found.append(("mixed conditions", f"Trials differ in {listed(mixed)}, which moves a criterion by itself."))
    if "encoder" in trials and trials["encoder"].nunique() > 1:
        names = listed(sorted(map(str, trials["encoder"].dropna().unique())))
        found.append(("mixed encoders", f"Trials have unlike encoders ({names}): ranks are comparable within one."))
    return found


def about_many(ranks: DataFrame) -> list[Caution]:
    """A p that does not survive the number of criteria tried."""
    lost = ranks[(ranks["tau_p"] < SMALL) & (ranks["tau_p_holm"] >= SMALL)]
    if lost.empty:
        return []
    names = sentence(listed([label_of(str(name)) for name in lost["criterion"]]))
    text = f"{names}: p is below {SMALL} by itself, but not once all criteria and layers tried are counted (Holm)."
    return [("many criteria", text)]


def across(trials: DataFrame) -> list[str]:
    """What makes several sweeps hard to compare: criteria measured under conditions that differ between them."""
    mixed = [name for name in condition_columns(trials.columns) if trials.groupby("sweep")[name].first().nunique() > 1]
    said = [f"The sweeps differ in {listed(mixed)}: compare ranks, not values."] if mixed else []
    for name in find_criteria(trials.columns):
        there: dict[str, list[str]] = {}
        for sweep, part in trials.groupby("sweep", sort=False):
            there.setdefault(layer_of(part, name), []).append(str(sweep))
        there.pop("", None)
        if len(there) > 1:
            where = "; ".join(f"of the {layer} in {listed(sweeps)}" for layer, sweeps in there.items())
            said.append(f"{label_of(name)} is {where}.")
    return said


def layers_in(trials: DataFrame, criterion: str) -> list[str]:
    """The layers that the plain column repeats in some trials or other; none where that cannot be seen."""
    plain, first, second = (ScoreColumn(name).scores(trials) for name in criterion_columns(criterion))
    told = first != second
    return [layer for layer, one in zip(LAYERS, (first, second), strict=True) if (told & (plain == one)).any()]


def layer_of(trials: DataFrame, criterion: str) -> str:
    """Which layer the plain column repeats, "" where that cannot be seen."""
    layers = layers_in(trials, criterion)
    return layers[0] if len(layers) == 1 else ""


def layers_of(trials: DataFrame, criteria: Sequence[str]) -> dict[str, str]:
    """criterion -> the layer that its plain column repeats."""
    return {name: layer for name in criteria if (layer := layer_of(trials, name))}
