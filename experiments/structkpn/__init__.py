"""Kernel prediction and the structure-aware loss: what this experiment has of its own."""
