"""Contracts for what can be added to sinograd, as pytest classes to subclass, in other packages too."""

import sys
from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.testing.operator_contract import OperatorContract

__all__ = [
    "OperatorContract",
]

if "pytest" in sys.modules:  # its messages for the assertions of contracts, as for a test's own
    sys.modules["pytest"].register_assert_rewrite("sinograd.testing.operator_contract")

attach(__name__)
