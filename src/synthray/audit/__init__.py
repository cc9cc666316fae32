"""Duplicates and leaks across splits."""
