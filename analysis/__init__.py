"""The judge: how well each label-free criterion ranked and selected the trials of a sweep.

In a notebook: `from analysis import load, kendall, select, replay`. Each function returns DataFrames, and
`analysis.figures.plots` draws figures from them. If a sweep has criteria of other packages, pass
`results.score_columns()` as `criteria`, so that each criterion is judged in its own direction.
`analyze` runs the whole analysis and writes the report.
"""

from analysis.data.load import load as load
from analysis.report.write import analyze as analyze
from analysis.stats.across import across_sweeps as across_sweeps
from analysis.stats.axes import by_axis as by_axis
from analysis.stats.comparison import compare as compare
from analysis.stats.epochs import by_epoch as by_epoch
from analysis.stats.frontier import frontier as frontier
from analysis.stats.hyperparameters import partial as partial
from analysis.stats.hyperparameters import select_by_hyperparameter as select_by_hyperparameter
from analysis.stats.pruning import replay as replay
from analysis.stats.ranking import kendall as kendall
from analysis.stats.selection import best_trial as best_trial
from analysis.stats.selection import select as select
