"""Trials, sweeps of trials, the catalogue of experiments, and the store of finished trials."""
