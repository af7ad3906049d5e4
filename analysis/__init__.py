"""The judge: how well each label-free criterion ranked and selected the trials of a sweep.

From a notebook: `from analysis import load, kendall, select, replay`; each returns DataFrames, and `analysis.plots`
turns them into figures. `analyze` does all of it and writes the report.
"""

from analysis.comparison import compare as compare
from analysis.data.load import load as load
from analysis.epochs import by_epoch as by_epoch
from analysis.frontier import frontier as frontier
from analysis.hyperparameters import partial as partial
from analysis.hyperparameters import select_by_hyperparameter as select_by_hyperparameter
from analysis.pruning import replay as replay
from analysis.ranking import kendall as kendall
from analysis.report import analyze as analyze
from analysis.selection import best_trial as best_trial
from analysis.selection import select as select
