"""Arrays in, numbers out: scores, intervals, tests, verdicts."""
