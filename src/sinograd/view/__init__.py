"""Static pictures and pages of volumes, of scans and of the search for the centre of rotation."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.view.center import save_center_picture
    from sinograd.view.comparison import show_comparison
    from sinograd.view.display import Display
    from sinograd.view.geometry_picture import show_geometry
    from sinograd.view.page import check_page_path, save_page
    from sinograd.view.scan import save_scan_preview
    from sinograd.view.show import show
    from sinograd.view.slices import check_picture_path, save_preview

__all__ = [
    "Display",
    "check_page_path",
    "check_picture_path",
    "save_center_picture",
    "save_page",
    "save_preview",
    "save_scan_preview",
    "show",
    "show_comparison",
    "show_geometry",
]

attach(__name__)
