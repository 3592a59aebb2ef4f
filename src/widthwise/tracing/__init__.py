"""A run of any network as a tape: its layers, where their units go, and runs again with a value replaced."""
