"""Local pages to look at volumes and scans, and to reconstruct with sliders: a server on this machine alone."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.viewer.server import LocalServer
    from sinograd.viewer.start import serve_paths, serve_scan, serve_tuning, serve_volumes

__all__ = ["LocalServer", "serve_paths", "serve_scan", "serve_tuning", "serve_volumes"]

attach(__name__)
