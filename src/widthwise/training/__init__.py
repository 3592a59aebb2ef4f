"""From a recipe and initial networks to trained ones; replicates train as one stacked network."""
