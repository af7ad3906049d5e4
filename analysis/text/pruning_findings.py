"""What pruning did to the sweeps as they ran, and what it would have done to their full curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas import DataFrame

from analysis.data.results import Results
from analysis.stats.judgement import Judgement, rows_with
from analysis.text.numbers import interval, points, subject
from trainers.formats import counted, percent
from trainers.records import PRUNED

Row = Mapping[Any, Any]


def pruning_as_it_ran(audit: DataFrame) -> tuple[str, ...]:
    """What pruning did to each sweep as it ran, and how often it stopped a better trial."""
    return tuple(f"{stopped(row)} {false_prunes(row)}" for row in audit.to_dict("records"))


def stopped(row: Row) -> str:
    """How much a pruner stopped, from its row of audit.csv."""
    pruner = f"The {row['pruner']} pruner" if row["pruner"] != "none" else "Pruning"
    text = f"{pruner}, watching {subject(row['objective'])}, stopped {row['pruned']} of {row['trials']} trials"
    saved: str = f" and saved {percent(row['epochs_saved'])} of the epochs" if pd.notna(row["epochs_saved"]) else ""
    return f"{text}{saved}."


def false_prunes(row: Row) -> str:
    """How often it stopped a trial clearly better than the selected one, by the audit."""
    if pd.notna(row["rate"]):
        ran = f"{counted(row['measured'], 'trial')} that it would have stopped ran to the end"
        return (
            f"As an audit, {ran}: {row['false_prunes']} of {row['measured']} ended clearly above the selected trial. "
            f"So {percent(row['rate'])} of its stops ({interval(row, 'rate', percent)}) lose a better trial."
        )
    if not row["pruned"] and not row["audited"]:
        return "So it lost no better trial."
    unknown = "How often it stops a better trial is not known, because"
    if not row["measured"]:
        return f"{unknown} no audited trial was measured: raise `pruner.audit` in the next sweep."
    if pd.isna(row["oracle"]):
        return f"{unknown} the selected trial was not measured."
    return f"{unknown} the number of test images (`oracle_n`) is missing."


def replayed_pruners(pruning: DataFrame) -> tuple[str, ...]:
    """For each criterion, how many epochs a pruner could have saved without losing accuracy."""
    if pruning.empty:
        return ()
    lines = []
    for criterion, rows in rows_with(pruning, "regret").groupby("criterion", sort=False):
        without = rows.loc[rows["pruner"] == "none", "regret"]
        saving_some = rows[rows["epochs_saved"] > 0]
        if without.empty or saving_some.empty:
            continue
        no_worse = saving_some[saving_some["regret"] <= without.iloc[0]].sort_values("epochs_saved", kind="stable")
        text = f"Watching {subject(str(criterion))}, "
        if no_worse.empty:
            lines.append(
                f"{text}every pruner that saves epochs would have selected a worse trial than no pruning does."
            )
            continue
        best = no_worse.iloc[-1]
        saved, regret = percent(best["epochs_saved"]), points(best["regret"], best["best_oracle"])
        text += f"“{best['pruner']}” would have saved {saved} of the epochs and selected a trial no worse than without "
        lines.append(f"{text}pruning (regret {regret}).")
    return tuple(lines)


def replayed_trials(judgement: Judgement, results: Results) -> tuple[str, ...]:
    """The trials that the replay of pruners rests on."""
    if judgement.pruning.empty:
        return ()
    pruned = results.trials["status"] == PRUNED
    curves = int(results.trials.loc[~pruned, "trial"].isin(results.reports["trial"]).sum())
    n = int(judgement.pruning["n"].max())
    which = f"the first {n} of {curves} full curves" if n < curves else counted(n, "full curve")
    text = f"Optuna's pruners were replayed on {which}, with the reports in the order in which they arrived."
    if pruned.any():
        text += (
            f" The sweep pruned {counted(int(pruned.sum()), 'trial')}. These have no full curve and are left out, so "
        )
        text += "the replay is mostly over trials that the pruner let run."
    return (text,)
