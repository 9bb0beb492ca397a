"""What the experiments share: configuration, simulated data, methods, scores, tables and figures."""
