"""A sweep's folder on disk: where things are in it, and how they are written and read."""
