"""`SyntheticAugmenter`, and the ways in which synthetic images join a training set."""
