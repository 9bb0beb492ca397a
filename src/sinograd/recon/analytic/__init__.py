"""Direct reconstruction of circular scans: weight, filter, backproject."""
