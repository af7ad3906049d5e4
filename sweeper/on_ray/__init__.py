"""Ray: the cluster, the Tune experiment, and the cleanup after a killed driver."""
