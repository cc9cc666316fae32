"""Training arms, the runner that compares them, and its result."""
