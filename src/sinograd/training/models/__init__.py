"""The models of a training configuration, one kind a module; see `training.model_config`."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.training.models.bilateral import BilateralModel
    from sinograd.training.models.dual_domain import DualDomainModel
    from sinograd.training.models.dual_domain_networks import DualDomainNetworks
    from sinograd.training.models.network import NetworkModel, network_model
    from sinograd.training.models.own import OwnModel

__all__ = ["BilateralModel", "DualDomainModel", "DualDomainNetworks", "NetworkModel", "OwnModel", "network_model"]

attach(__name__)
