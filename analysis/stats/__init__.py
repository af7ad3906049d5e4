"""The numbers: rankings, selection, pruning, costs, each a DataFrame."""
