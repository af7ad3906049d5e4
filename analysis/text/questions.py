"""The questions that a report answers, which are the titles of its sections, and how the numbers were computed."""

from __future__ import annotations

from typing import Final

TRUST: Final = "How far can each criterion be trusted?"
"""The title of the report over several sweeps."""

ANSWER: Final = "Which trial was chosen, and can the choice be trusted?"
ANSWER_WITHOUT_ORACLE: Final = "Which trial was chosen?"
TRIALS: Final = "What did each trial reach?"
SETUP: Final = "What was run?"
RANKING: Final = "How well does each criterion rank the trials?"
SELECTION: Final = "Which trial does each criterion select, and what does that cost?"
SELECTION_WITHOUT_ORACLE: Final = "Which trial does each criterion select?"
COMPARISON: Final = "Which criterion ranks better?"
EPOCHS: Final = "How early can you tell?"
EPOCHS_WITHOUT_ORACLE: Final = "How does each criterion change over the epochs?"
PRUNING: Final = "Would pruning have helped?"
PRUNING_WITHOUT_ORACLE: Final = "What would pruning have saved?"
PRUNED_SWEEPS: Final = "What did pruning do?"
HYPERPARAMETERS: Final = "Which hyperparameters matter, and does a criterion only follow one?"
HYPERPARAMETERS_WITHOUT_ORACLE: Final = "Which hyperparameters does each criterion follow?"
ACROSS: Final = "How well does each criterion rank over all sweeps?"
NOISE: Final = "How much of each value is noise?"
CEILING: Final = "How high can τ get here?"
COST: Final = "What does each criterion cost in time?"
LAYERS: Final = "Does the layer matter?"
CAUTIONS: Final = "What should you know about each sweep?"
METHOD: Final = "How was this computed?"

METHOD_ACROSS: Final = (
    "Over several sweeps, each sweep is one observation: the mean τ gives every sweep the same weight, and its 95% CI "
    "is Student's t interval over the sweeps. It describes further sweeps of the same kind. It is not from resampled "
    "sweeps, because resampling gives intervals that are too narrow for few sweeps."
)
METHOD_FILES: Final = (
    "Every number is in the CSV files beside this page. Every figure is in figures/ as PNG (with `--pdf` also as "
    "PDF), beside the table that it was drawn from."
)
METHOD_ANSWER: Final = (
    "τ is Kendall's τ-b between a criterion and accuracy. Its 95% confidence interval (CI) is Fisher's z transform of "
    "τ with the standard error of the delete-one jackknife. Where configurations ran with several seeds, the jackknife "
    "leaves out one configuration at a time. Below about 20 trials the interval is wider than it needs to be.",
    "p tests whether the criterion and accuracy are unrelated. It is exact for few trials without ties, comes from "
    "2,000 shuffles for few trials with unequal weights, and is asymptotic otherwise. p assumes that there is no "
    "relation and the interval does not, so the interval can include 0 although p is small. Holm's correction counts "
    "every criterion and layer that was tried.",
    "Trials with a missing value are left out, and n is the number of the others. Audited trials represent the pruned "
    "ones: each weighs 1/audit in every τ. ρ and the selection use no weights.",
    "Two criteria are compared on the same trials, and the better one has the higher τ. Regret is the best accuracy "
    "among the completed trials minus the accuracy of the selected trial, in percentage points (pp). Of trials with "
    "equal values, the one with the lowest number is selected. Expected regret and hit rates are averages over 2,000 "
    "sweeps, drawn from these trials with replacement. No label reaches a criterion, a search or a pruner.",
    METHOD_FILES,
)
