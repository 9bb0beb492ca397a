"""What the rest of the package is configured by: the typed schema and the one YAML loader."""
