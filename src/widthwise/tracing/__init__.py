"""A run of any network as a tape: its layers, the flow of their units, and runs again with a value replaced."""
