"""From a store to tidy tables, and from those to a verdict. Reads tables only."""
