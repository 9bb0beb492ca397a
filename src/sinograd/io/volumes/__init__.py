"""Formats of volumes: one module a format."""
