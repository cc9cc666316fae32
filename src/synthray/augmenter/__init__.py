"""`SyntheticAugmenter`, and the ways in which drawn images join a training set."""
