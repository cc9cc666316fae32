"""Classifiers, as `keras.Model`s."""
