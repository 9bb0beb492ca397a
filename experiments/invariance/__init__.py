"""What denoisers of chest slices ignore: what this experiment has of its own."""
