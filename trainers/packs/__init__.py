"""Packs: the images of a data set decoded once into memory-mapped shards, which every later sweep finds again."""
