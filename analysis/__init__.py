"""The judge: how well each label-free criterion ranked and selected the trials of a sweep."""
