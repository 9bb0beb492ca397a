"""Formats of scans: one module a format."""
