"""Layers with an arithmetic of their own, because PyTorch's is slow where they are used."""
