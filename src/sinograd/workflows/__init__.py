"""Jobs from file to file as library functions: what the commands run."""
