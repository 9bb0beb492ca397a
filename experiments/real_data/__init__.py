"""Lower doses of measured images and scans: what this experiment has of its own."""
