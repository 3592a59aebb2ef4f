"""A run of any network as a tape: its layers, where units flow, and runs again with a value replaced."""
