"""What to know before relying on the numbers: what is true of the data, how sure it is, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pandas import DataFrame

from analysis.data.columns import ScoreColumn, condition_columns, find_criteria, is_layer, swept
from analysis.data.criteria import LOSS
from analysis.data.methods import moves_loss
from analysis.stats.layers import layer_of
from analysis.stats.selection import completed
from analysis.text.numbers import capitalised, interval, label_of, number, subject
from analysis.text.trial_cautions import (
    Caution,
    about_conditions,
    about_failures,
    about_images,
    about_oracle,
    about_pruning,
    about_repeats,
    about_weights,
    advice,
)
from trainers.formats import counted, listed
from trainers.records import CONFIG_PREFIX, UNTRAINED

SMALL: Final = 0.05
"""A p below this counts as small."""
WIDE: Final = 0.5
"""An interval of τ this wide can hold both τ 0 and τ 0.5, a useless criterion and a good one."""
FOLLOWS: Final = 0.6
"""|τ| with a hyperparameter from which a criterion is said to follow it."""
HIGH_START: Final = 0.75
"""The share of trials below the untrained encoder from which a criterion is said to be high at the start."""

NOISE: Final = "lidar_noise"
"""The column of the share of noise in LiDAR's eigenvalues."""
NOISY: Final = 0.5
"""The share of noise from which LiDAR is said to be noise in the main."""

ORDER: Final = (
    # there is nothing to judge, or not what it seems to be
    *("no oracle", "nothing to rank", "units", "repeated names", "mixed conditions", "mixed layers", "mixed encoders"),
    # the accuracy does not tell trials apart, or pretraining did not help
    *("narrow oracle", "below raw pixels", "near the untrained"),
    # part of the trials is missing
    *("unfinished", "survivors only", "unlike epochs", "unmeasured", "failed", "diverged", "collapsed"),
    # a criterion does not measure what was learnt
    *("constant", "noise of the views", "start from weights", "high at the start"),
    *("moved by a hyperparameter", "follows a hyperparameter"),
    # how sure it is
    *("too few trials", "p and interval", "many criteria", "unreadable files"),
)
"""The kinds of caution: what can overturn the answer comes first."""

MORE_TRIALS: Final = "About four times as many trials halve the width"
MORE: Final = " (`sweeper resume NAME --trials COUNT`)"


def cautions(
    trials: DataFrame,
    baselines: DataFrame,
    ranking: DataFrame,
    partial: DataFrame,
    sweeps: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> DataFrame:
    """One row per caution: sweep, kind, text, in the order of `ORDER`; the tables may hold several sweeps.

    `sweeps`: sweep -> its sweep.yaml.
    """
    rows = []
    for sweep, part in trials.groupby("sweep", sort=False):
        base = baselines[baselines["sweep"] == sweep] if "sweep" in baselines else DataFrame()
        ranks = ranking[(ranking["sweep"] == sweep) & ~ranking["criterion"].map(is_layer)]
        given = partial[partial["sweep"] == sweep] if "sweep" in partial else DataFrame()
        found = [
            *about_oracle(part, base),
            *about_size(part, ranks),
            *about_constants(part, ranks),
            *about_doubt(ranks),
            *about_pruning(part, ranks),
            *about_failures(part),
            *about_images(sweeps.get(str(sweep), {})),
            *about_weights(sweeps.get(str(sweep), {})),
            *about_start(part, base, ranks),
            *about_proxies(given),
            *about_moved(part, ranks, sweeps.get(str(sweep), {})),
            *about_repeats(part),
            *about_conditions(part),
            *about_noise(part),
            *about_many(ranks),
        ]
        found.sort(key=lambda caution: ORDER.index(caution[0]))
        rows += [{"sweep": str(sweep), "kind": kind, "text": text} for kind, text in found]
    return DataFrame(rows, columns=["sweep", "kind", "text"])


def about_size(trials: DataFrame, ranks: DataFrame) -> list[Caution]:
    """Too few trials for a useful interval."""
    known = ranks.dropna(subset=["tau"])
    most = int(ranks["n"].max()) if len(ranks) else 0
    if most == 0:
        return []
    if most < 3:
        text = f"Only {counted(most, 'trial')} with a criterion and an accuracy: too few to rank. Run more trials"
        return [("too few trials", f"{text}{advice(trials, MORE)}.")]
    if known.empty:
        return [("nothing to rank", "No τ can be computed: accuracy or the criterion has one value in all trials.")]
    width = float((known["tau_high"] - known["tau_low"]).min())
    if width < WIDE:
        return []
    text = f"With {counted(int(known['n'].max()), 'trial')}, the narrowest 95% CI of τ is {width:.2f} wide, too "
    text += f"wide to tell a useless criterion (τ 0) from a good one (τ 0.5). {MORE_TRIALS}{advice(trials, MORE)}."
    return [("too few trials", text)]


def about_constants(trials: DataFrame, ranks: DataFrame) -> list[Caution]:
    """Criteria with one value in all completed trials, of which the first is then shown as selected."""
    done = completed(trials)
    values = {str(name): ScoreColumn(str(name)).scores(done).dropna() for name in ranks["criterion"]}
    constant = [name for name, scores in values.items() if len(scores) > 1 and scores.nunique() == 1]
    if not constant:
        return []
    text = f"{capitalised(listed([subject(name) for name in constant]))} {'has' if len(constant) == 1 else 'have'} "
    return [("constant", f"{text}one value in all trials, so the trial shown as selected is only the first of them.")]


def about_doubt(ranks: DataFrame) -> list[Caution]:
    """A small p beside an interval that includes 0."""
    both = ranks[(ranks["tau_p"] < SMALL) & (ranks["tau_low"] <= 0) & (ranks["tau_high"] >= 0)]
    if both.empty:
        return []
    text = (
        f"{names_of(both)}: p is below {SMALL}, but the 95% CI of τ includes 0. p assumes that there is no relation; "
    )
    text += "the interval does not, and it is wide with few trials. Treat the relation as a hint, and run more trials."
    return [("p and interval", text)]


def about_start(trials: DataFrame, baselines: DataFrame, ranks: DataFrame) -> list[Caution]:
    """Criteria that are higher before training than after it, and that do not clearly rank the trials."""
    start = baselines[baselines["baseline"] == UNTRAINED] if "baseline" in baselines else DataFrame()
    higher = []
    for row in ranks.to_dict("records") if len(start) else ():
        criterion = ScoreColumn(str(row["criterion"]))
        known, scores = criterion.scores(start), criterion.scores(completed(trials)).dropna()
        if not row["higher_is_better"] or row["tau_low"] > 0 or known.isna().all() or scores.empty:
            continue
        below = int((scores < known.iloc[0]).sum())
        if below >= HIGH_START * len(scores):
            which = "every completed trial" if below == len(scores) else f"{below} of {len(scores)} completed trials"
            higher.append(f"a higher {label_of(criterion.name)} ({known.iloc[0]:.3g}) than {which}")
    if not higher:
        return []
    text = f"The untrained encoder has {listed(higher)}, so a high value does not show that a trial learnt much."
    return [("high at the start", f"{text} Do not compare values with those before training.")]


def about_proxies(partial: DataFrame) -> list[Caution]:
    """Criteria that rise or fall with a hyperparameter, and what remains when it is accounted for."""
    return [
        ("follows a hyperparameter", about_proxy(row))
        for row in partial.to_dict("records")
        if abs(float(row["tau_criterion"])) >= FOLLOWS
    ]


def about_proxy(row: dict[Any, Any]) -> str:
    """The same of one row of partial.csv."""
    follows, given, name = float(row["tau_criterion"]), float(row["tau_given"]), row["hyperparameter"]
    text = f"{subject(str(row['criterion']))} {'rises' if follows > 0 else 'falls'} with {name} (τ {number(follows)})"
    text = capitalised(text)
    if not math.isfinite(given):
        which = subject(str(row["criterion"])) if abs(follows) == 1 else "accuracy"
        return f"{text}. Its τ with accuracy beyond {name} cannot be computed, because {which} follows {name} exactly."
    text += f". With {name} accounted for, its τ with accuracy is {number(given)}"
    if math.isnan(float(row["tau_given_low"])):
        return f"{text}, with no interval for as few as {counted(row['n'], 'trial')}."
    text += f" ({interval(row, 'tau_given')})"
    if row["tau_given_low"] > 0 or row["tau_given_high"] < 0:
        return f"{text}, so {name} alone does not explain the relation."
    return f"{text}: no clear relation remains. To check, run a sweep with {name} fixed (`fixed.{name}=VALUE`)."


def about_moved(trials: DataFrame, ranks: DataFrame, settings: Mapping[str, Any]) -> list[Caution]:
    """The loss, where a swept hyperparameter is in its formula; `settings` is the sweep's sweep.yaml."""
    if LOSS not in set(ranks["criterion"]) or "method" not in trials:
        return []
    names = {name.removeprefix(CONFIG_PREFIX) for name in swept(trials)}
    moved = [name for name in moves_loss(str(trials["method"].iloc[0]), settings) if name in names]
    if not moved:
        return []
    which = f"{listed(moved)} {'is' if len(moved) == 1 else 'are'} in the formula of the loss, and swept"
    text = (
        f"{capitalised(which)}: the loss differs between trials even where the networks are equally good. Compare it "
    )
    return [
        ("moved by a hyperparameter", f"{text}among trials with equal values (by_axis.csv), or do not select by it.")
    ]


def about_noise(trials: DataFrame) -> list[Caution]:
    """LiDAR, where more than half of its eigenvalues is noise of the views."""
    done = completed(trials)
    shares = ScoreColumn(NOISE).scores(done).dropna()
    if shares.empty or not shares.median() > NOISY:
        return []
    text = f"{shares.median():.0%} of LiDAR's eigenvalues is noise of the views (`{NOISE}`, median over the trials), "
    text += "so LiDAR counts directions that have no information. More views per image (`criteria_sample.views`) lower "
    return [("noise of the views", f"{text}the share; `lda_information` and `lidar_debiased` subtract the noise.")]


def about_many(ranks: DataFrame) -> list[Caution]:
    """A small p that is not small once corrected for the number of criteria tried."""
    lost = ranks[(ranks["tau_p"] < SMALL) & (ranks["tau_p_holm"] >= SMALL)]
    if lost.empty:
        return []
    text = f"{names_of(lost)}: p is below {SMALL}, but not after Holm's correction for all criteria and layers tried. "
    return [("many criteria", f"{text}Treat the relation as a hint.")]


def names_of(rows: DataFrame) -> str:
    """The criteria of rows of ranking.csv at the start of a sentence."""
    return capitalised(listed([subject(str(name)) for name in rows["criterion"]]))


def across(trials: DataFrame) -> list[str]:
    """What makes several sweeps hard to compare: criteria measured under different conditions."""
    mixed = [name for name in condition_columns(trials.columns) if trials.groupby("sweep")[name].first().nunique() > 1]
    found = [f"The sweeps differ in {listed(mixed)}: compare ranks, not values."] if mixed else []
    for name in find_criteria(trials.columns):
        sweeps: dict[str, list[str]] = {}
        for sweep, part in trials.groupby("sweep", sort=False):
            sweeps.setdefault(layer_of(part, name), []).append(str(sweep))
        sweeps.pop("", None)
        if len(sweeps) > 1:
            where = " and ".join(f"on the {layer} in {listed(names)}" for layer, names in sweeps.items())
            found.append(f"{label_of(name)} was measured {where}: compare ranks, not values.")
    return found


def of_each_sweep(table: DataFrame) -> tuple[str, ...]:
    """Every caution once, after the names of the sweeps that it concerns."""
    sweeps: dict[str, list[str]] = {}
    for row in table.to_dict("records"):
        sweeps.setdefault(row["text"], []).append(str(row["sweep"]))
    return tuple(f"{listed(names)}: {text}" for text, names in sweeps.items())
