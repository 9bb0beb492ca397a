"""Direct regression: a network whose mean over a sphere is to be a parameter, without an image that has it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import mse_loss

from sinograd.choices import LOSSES
from sinograd.errors import InputError
from sinograd.morphometry import BoneLoss
from sinograd.morphometry.ball import fitting_ball
from sinograd.morphometry.losses import D4, PUBLISHED_SPACING, BoneTerm
from sinograd.morphometry.maps import Neighbourhoods

BVTV_SCALE = 1000.0  # what a mean of the output is divided by to be a share of bone
THRESHOLD = 225.0  # mg/cm3
DIRECT = {"direct-tmd": ("tmd", 1.0), "direct-bvtv": ("bvtv", BVTV_SCALE / 100)}  # parameter; BV/TV in %


class DirectLoss(BoneLoss):
    """Mean squared error of the mean density of the output in spheres against a map of the truth at 225 mg/cm3.

    Args:
        parameter: "tmd", in mg/cm3, or "bvtv", the share times 1000.
        spacing: mm per voxel, (z, y, x).
        factors: as of `BoneLoss`.
    """

    def __init__(
        self,
        parameter: Literal["tmd", "bvtv"] = "tmd",
        spacing: tuple[float, float, float] = PUBLISHED_SPACING,
        factors: tuple[float, ...] | Literal["auto"] = "auto",
    ) -> None:
        super().__init__((BoneTerm(parameter, 1.0, D4),), spacing, factors)

    def parts(self, predicted: Tensor, target: Tensor) -> list[Tensor]:
        """The one term."""
        if predicted.shape != target.shape:
            raise InputError(f"predicted {list(predicted.shape)} does not match target {list(target.shape)}")
        self.check(predicted.shape)
        (term,) = self.terms
        near = Neighbourhoods(fitting_ball(self.spacing, term.diameter, target.shape), valid=True)
        density, share = near.tmd(target, THRESHOLD, self.softness)
        wanted = density if term.parameter == "tmd" else BVTV_SCALE * share
        return [mse_loss(near.bmd(predicted), wanted)]


LOSSES.add("direct", "bone_microstructure.regression:DirectLoss", "direct regression of a map")
