"""Benchmarks of speed: one file a row of the table in docs/speed.md, each runs alone."""
