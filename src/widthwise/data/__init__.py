"""Data to learn: examples with labels, split into train, validation and test."""
