"""Layers with their own implementation, because PyTorch's is slow where they are used."""
