"""Ray: the cluster, the Tune experiment, and what ends them when the driver is killed."""
