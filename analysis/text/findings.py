"""What a report says in sentences; each is made of the numbers beside it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas import DataFrame

from analysis.data.columns import is_layer
from analysis.data.load import Results
from analysis.report.judgement import Judgement
from analysis.stats.audit import PROBE, PROBE_EVERY_EPOCH, WORK
from analysis.stats.comparison import UNDECIDED
from analysis.text.cautions import SMALL
from analysis.text.numbers import accuracy, label_of, listed, number, percent, points, probability, sentence
from trainers.records import PRUNED

EVEN = 1.1
"""Two costs within a tenth of each other are the same."""

METHOD = (
    "τ is Kendall's τ-b; its interval is Fisher's z of τ with the delete-one jackknife's error, over configurations "
    "where they were run with several seeds. p is of the hypothesis that criterion and oracle have nothing to do with "
    "each other (exact where there are no ties and few trials, of 2,000 shuffles where few trials weigh unlike, else "
    "asymptotic); the interval assumes nothing of the kind, is on the wide side below some 20 trials, and may hold 0 "
    "where p is small. Holm's correction counts every criterion and layer tried. Trials with a missing value are left "
    "out, and n says what is left. Where audited trials stand for pruned ones, each weighs 1/audit in every τ; ρ and "
    "what selecting keeps are of the trials as they are.",
    "Two criteria are compared on the same trials; better means a higher τ. Regret is the best oracle among completed "
    "trials less that of the selected one, in percentage points (pp); of equals the lowest trial number is selected. "
    "Expected regret and hits are over 2,000 sweeps drawn again from these trials. No label reaches a criterion, a "
    "search or a pruner.",
    "Every number is in the CSV files beside this page, every figure in figures/ as PNG and PDF with the table it was "
    "drawn from.",
)


def in_short(judgement: Judgement) -> tuple[str, ...]:
    """The findings of one sweep in a few sentences."""
    ranking = judgement.ranking[~judgement.ranking["criterion"].map(is_layer)]
    ranking = ranking if len(ranking) else judgement.ranking
    chosen = judgement.selection.set_index("criterion")
    lines = []
    for row in ranking.dropna(subset=["tau"]).to_dict("records"):
        kept = chosen.loc[row["criterion"]]
        lines.append(sentence(f"{label_of(row['criterion'])} {verdict_on(row)} {what_it_kept(kept)}"))
    pairs = known_rows(judgement.comparison, "difference")
    if len(pairs):
        decided = pairs[~pairs["verdict"].str.startswith(UNDECIDED)]
        for better, won in decided.groupby("verdict", sort=False):
            beaten = listed([label_of(loser(row)) for row in won.to_dict("records")])
            lines.append(sentence(f"{label_of(str(better))} ranks better than {beaten}."))
        open_pairs = pairs[pairs["verdict"].str.startswith(UNDECIDED)]
        names = [f"{label_of(row['first'])} or {label_of(row['second'])}" for row in open_pairs.to_dict("records")]
        if names:
            lines.append(
                f"Which of two ranks better cannot be told at n = {open_pairs['n'].max()}: {'; '.join(names)}."
            )
    return tuple(lines)


def verdict_on(row: dict[Any, Any]) -> str:
    """What the interval of a τ allows to be said."""
    text = f"τ = {number(row['tau'])} [{number(row['tau_low'])}, {number(row['tau_high'])}], n = {row['n']}"
    clear, small = row["tau_low"] > 0 or row["tau_high"] < 0, row["tau_p"] < SMALL
    way = " backwards" if row["tau"] < 0 else ""
    if clear and small:
        return f"ranks the trials{way} ({text})."
    if small:
        return f"may rank the trials{way}: p = {probability(row['tau_p'])}, but τ's interval holds 0 ({text})."
    if clear and pd.notna(row["tau_p"]):
        return f"may rank the trials{way}: τ's interval leaves out 0, but p = {probability(row['tau_p'])} ({text})."
    return f"cannot be told from a useless criterion ({text})."


def what_it_kept(row: Any) -> str:
    """What selecting by it kept."""
    if pd.isna(row["oracle"]):
        return "The trial that it selects was not measured."
    if row["regret"] <= 0:
        return f"Selecting by it keeps {accuracy(row['oracle'])}, the best there is."
    kept, best = accuracy(row["oracle"]), accuracy(row["best_oracle"])
    regret = points(row["regret"], row["best_oracle"])
    return f"Selecting by it keeps {kept} of {best}: a regret of {regret}."


def loser(row: dict[Any, Any]) -> str:
    """The other of a pair."""
    return str(row["second"] if row["verdict"] == row["first"] else row["first"])


def known_words(ranking: DataFrame) -> tuple[str, ...]:
    """The earliest epoch from which it is worth pruning on each criterion."""
    if "known_from" not in ranking:
        return ()
    said: dict[str, list[str]] = {}
    for row in ranking[~ranking["criterion"].map(is_layer)].dropna(subset=["tau"]).to_dict("records"):
        known = f"τ is clearly above 0 from epoch {number(row['known_from'], 0)} on."
        unknown = "there is no epoch from which on τ is clearly above 0."
        said.setdefault(unknown if pd.isna(row["known_from"]) else known, []).append(label_of(row["criterion"]))
    return tuple(f"{sentence(listed(names))}: {text}" for text, names in said.items())


def known_rows(table: DataFrame, column: str) -> DataFrame:
    """The rows with a value."""
    return table.dropna(subset=[column]) if column in table else table


def audit_words(audit: DataFrame) -> tuple[str, ...]:
    """What pruning did to a sweep as it ran, and how often it stopped a trial that was clearly better."""
    return tuple(audit_sentence(row) for row in audit.to_dict("records"))


def audit_sentence(row: dict[Any, Any]) -> str:
    """The same of one sweep."""
    who = f"The {row['pruner']} pruner" if row["pruner"] != "none" else "Pruning"
    text = f"{who}, watching {label_of(row['objective'])}, stopped {row['pruned']} of {row['trials']} trials"
    text += f" and saved {percent(row['epochs_saved'])} of the epochs. " if pd.notna(row["epochs_saved"]) else ". "
    if pd.isna(row["rate"]):
        why = "no trial was audited and measured"
        if row["measured"] > 0:
            why = "the trial kept was not measured" if pd.isna(row["oracle"]) else "`oracle_n`, the test images, is not"
        return text + f"How often that stops a good trial is not known: {why}."
    rate = f"{percent(row['rate'])} [{percent(row['rate_low'])}, {percent(row['rate_high'])}]"
    return (
        f"{text}To audit it, {row['measured']} that it would have stopped ran on: {row['false_prunes']} of them ended "
        f"clearly above the trial kept, so {rate} of its stops are false."
    )


def pruning_words(judgement: Judgement, results: Results) -> tuple[str, ...]:
    """What the replay rests on."""
    if judgement.pruning.empty:
        return ()
    stopped = results.trials["status"] == PRUNED
    n, pruned = int(judgement.pruning["n"].max()), int(stopped.sum())
    curves = int(results.trials.loc[~stopped, "trial"].isin(results.reports["trial"]).sum())
    line = "Optuna's pruners, replayed over the curves of trials that ran to their end, in the order of arrival."
    if pruned:
        line += f" The {pruned} that were pruned have no such curve, so these are mostly survivors."
    return (line, f"Replayed on the first {n} of {curves} such curves.") if n < curves else (line,)


def ceiling_words(ceiling: DataFrame) -> tuple[str, ...]:
    """How far the oracle agrees with itself, sweep by sweep."""
    return tuple(
        f"Runs of one configuration that differ in their seed alone agree with τ = {number(row['tau'])} "
        f"[{number(row['tau_low'])}, {number(row['tau_high'])}] between their oracles. A criterion as noisy as a run "
        "comes no further than that; one without noise of its own can come a little further."
        for row in ceiling.to_dict("records")
    )


def cost_words(cost: DataFrame) -> tuple[str, ...]:
    """Does a label-free criterion pay? What it takes at every epoch, against the probe then and the probe once."""
    if cost.empty:
        return ()
    share = cost.set_index("work")["share_of_training"]
    criteria = [name for name in share.index if name not in WORK] or [name for name in ("criteria",) if name in share]
    if PROBE_EVERY_EPOCH not in share:
        costs = listed([f"{named(name)} takes {percent(share[name])}" for name in criteria])
        return (f"At every epoch, {costs} of the training's time, and no label.",) if criteria else ()
    probe = f"A probe at every epoch would take {percent(share[PROBE_EVERY_EPOCH])} of the training's time; "
    lines = [f"{probe}the one at the end of a trial takes {percent(share[PROBE])}."]
    for name in criteria:
        lines.append(sentence(f"{named(name)} at every epoch takes {percent(share[name])}, {paid(name, share)}"))
    return tuple(lines)


def named(work: str) -> str:
    """Criteria as the subject of a sentence."""
    return "measuring all criteria" if work == "criteria" else label_of(work)


def paid(name: str, share: pd.Series[float]) -> str:
    """What is saved by a criterion instead of the probe."""
    ratio = share[PROBE_EVERY_EPOCH] / share[name]
    if share[name] <= share[PROBE]:
        return f"{ratio:.1f} times less than the probe would, and no more than the one probe does. It pays."
    if ratio > EVEN:
        return (
            f"{ratio:.1f} times less than the probe would. It pays against probing as often, not against probing once."
        )
    return "no less than the probe would. It saves labels, not time."
