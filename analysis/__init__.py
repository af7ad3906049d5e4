"""The judge: how well each label-free criterion ranked and selected the trials of a sweep."""

from analysis.load import load as load
from analysis.ranking import kendall as kendall
from analysis.selection import best_trial as best_trial
from analysis.selection import select as select
