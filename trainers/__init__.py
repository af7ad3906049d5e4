"""The laboratory: self-supervised pretraining, label-free criteria and probes, in torch and without Ray."""
