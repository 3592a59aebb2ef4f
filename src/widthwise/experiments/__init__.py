"""What to run, where finished runs are kept, and the runner that turns the first into the second."""
