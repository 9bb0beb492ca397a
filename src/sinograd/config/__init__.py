"""Configuration: the typed schema, and the one YAML loader and dumper."""
