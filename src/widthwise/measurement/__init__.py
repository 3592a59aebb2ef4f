"""The two measures, removability and repetition, of any network; needs nothing else of this package."""
