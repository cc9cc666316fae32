"""Tables of README.md and docs/, from the raw results in `benchmarks/results/`."""
