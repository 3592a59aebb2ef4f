"""A smaller network that answers alike: which units go, what the rest take over, and the surgery."""
