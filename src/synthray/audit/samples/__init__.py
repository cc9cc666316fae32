"""Measures of drawn images: fidelity, variety, and what was copied."""
