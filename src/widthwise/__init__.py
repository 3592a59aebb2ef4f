"""Removable and repeated units in neural networks."""
