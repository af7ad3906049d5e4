"""The search: the Optuna study, its samplers, and the rules that stop a trial."""
