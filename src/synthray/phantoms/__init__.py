"""Simulated radiographs with known truth."""
