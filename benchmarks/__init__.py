"""Benchmarks: each prints a ratio against a plain implementation, both timed in the same process."""
