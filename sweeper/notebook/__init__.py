"""Sweeps from Python: what `sweeper.run` and `sweeper.open` give."""
