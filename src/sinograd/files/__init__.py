"""Writing so that nothing is lost or mixed up: temporary names, atomic exchanges, journals, and what is being read."""
