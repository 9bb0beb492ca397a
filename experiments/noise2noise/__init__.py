"""Noise2Noise against Noise2Clean on projections and slices: what this experiment has of its own."""
