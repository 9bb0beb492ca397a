"""Contracts for what can be added to sinograd, as pytest classes to subclass, in other packages too.

Beside them `write_ct_pd`, which makes folders of raw clinical data without a patient.
"""

import sys
from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.testing.ct_pd_folder import CtPdStyle, write_ct_pd
    from sinograd.testing.network_contract import NetworkContract
    from sinograd.testing.operator_contract import OperatorContract
    from sinograd.testing.scan_format_contract import ScanFormatContract
    from sinograd.testing.volume_format_contract import VolumeFormatContract

__all__ = [
    "CtPdStyle",
    "NetworkContract",
    "OperatorContract",
    "ScanFormatContract",
    "VolumeFormatContract",
    "write_ct_pd",
]

attach(__name__)
if "pytest" in sys.modules:  # its messages for the assertions of contracts, as for a test's own
    sys.modules["pytest"].register_assert_rewrite(*{home for home, _ in sys.modules[__name__]._homes.values()})
