"""One plug-in of each kind for sweeper: a method, a criterion, a data set, an oracle and an observer."""
