"""Hyperparameter sweeps for self-supervised pretraining, steered by label-free criteria."""

__version__ = "0.1.0"
