"""Figures and the page, drawn from tables alone."""
