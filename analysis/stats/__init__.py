"""The statistics: ranking, selection, pruning and costs, each as a DataFrame."""
