"""The two measures, removability and repetition, of any network."""
