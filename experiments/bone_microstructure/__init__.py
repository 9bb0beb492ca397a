"""Noise reduction for bone parameters: what this experiment has of its own."""
