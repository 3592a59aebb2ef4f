"""From a store to tidy tables, and from those to a verdict and to answers to claims."""
