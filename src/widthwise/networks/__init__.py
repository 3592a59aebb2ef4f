"""The paper's networks at any width factor, and their initializations."""
