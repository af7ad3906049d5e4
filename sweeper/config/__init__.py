"""The search-space file and what it describes: a SweepConfig."""
