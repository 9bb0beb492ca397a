"""Direct reconstruction of helical scans: weighted filtered backprojection, and exact kernels of Katsevich's kind."""
