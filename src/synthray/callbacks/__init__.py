"""Keras callbacks that watch, guard and choose generators; they know no generator."""
