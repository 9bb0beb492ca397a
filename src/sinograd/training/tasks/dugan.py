"""DU-GAN: two U-Nets judge images and their gradients, as a whole and pixel by pixel.

Z. Huang, J. Zhang, Y. Zhang, H. Shan, "DU-GAN: generative adversarial networks with dual-domain U-Net-based
discriminators for low-dose CT denoising", IEEE Transactions on Instrumentation and Measurement 71, 2022, and the
authors' code: least squares on both outputs of each discriminator, low-dose images count as generated, CutMix (S. Yun
et al., ICCV 2019) with a consistency loss, probability rising to its full value over the first steps, a moving average
of the generator's weights, which is what is kept. The numbers are those of the authors' training script.
ldct-benchmark's: image_steps 2, adversarial weights 0.080, gradient 27.8, pixel 1, consistency 2.65,
cutmix_probability 0.5, cutmix_warm_up 7615, no average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from sinograd.config.schema import NOT_NEGATIVE, POSITIVE, Check
from sinograd.errors import ConfigError
from sinograd.losses.adversarial import LeastSquares
from sinograd.networks.unet_discriminator import UNetDiscriminator, sobel_magnitude
from sinograd.training.data import ScanStack, Stack
from sinograd.training.model_config import Count, ModelConfig
from sinograd.training.moving_average import MovingAverage, StepCount
from sinograd.training.random_streams import stream
from sinograd.training.task_config import LossChoice
from sinograd.training.tasks.adversarial import AdversarialConfig, AdversarialTask, frozen
from sinograd.training.tasks.task import Groups, MakeOptimizer, Optimize, Task

_SHARE = Check("a number from 0 to 1", lambda value: 0 <= value <= 1)
_DECAY = Check("a number of at least 0 and below 1", lambda value: 0 <= value < 1)
Weight = Annotated[float, NOT_NEGATIVE]


@dataclass(frozen=True)
class DuGan(AdversarialConfig):
    """Two U-Net discriminators, of images and of their gradients; the model is the generator.

    Attributes:
        name: dugan.
        loss: between the denoised patch and the target.
        pixel: weight of `loss`.
        gradient: weight of the mean absolute difference of gradient magnitudes.
        adversarial_image, adversarial_gradient: weights of what the two discriminators say.
        consistency: weight of the difference between a mixed image's verdict and the mixed verdicts.
        cutmix_probability: how often a step mixes real and generated images.
        cutmix_warm_up: steps over which this rises from 0.
        image_steps: of the image discriminator for each step; that of gradients makes one.
        average: decay of the moving average of the generator's weights, which is validated and kept; 0: none.
        channels, levels: of the discriminators.
    """

    name: Literal["dugan"] = "dugan"
    loss: LossChoice = "mse"
    pixel: Annotated[float, POSITIVE] = 5.03
    gradient: Weight = 35.3
    adversarial_image: Weight = 0.142
    adversarial_gradient: Weight = 0.120
    consistency: Weight = 5.09
    cutmix_probability: Annotated[float, _SHARE] = 0.76
    cutmix_warm_up: Count = 1000
    image_steps: Count = 1
    average: Annotated[float, _DECAY] = 0.999
    channels: Count = 64
    levels: Count = 6

    def learning_rates(self) -> dict[str, float]:
        """Of both discriminators."""
        return {"discriminator": 7.12e-5}

    def check_images(self, shape: Sequence[int]) -> None:
        """ConfigError for images that the discriminators cannot halve so often."""
        least = (1 << (self.levels - 1)) + 1
        if min(shape[-2:]) < least:
            size = " x ".join(map(str, shape[-2:]))
            words = f"expected at least {least} x {least}, as the discriminators halve them {self.levels} times"
            raise ConfigError(f"{words} (task.levels), got {size}")

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """The discriminators' starting values follow from the seed."""
        return DuGanTask(model, settings.loss_scale, self, seed)


class DuGanTask(AdversarialTask):
    """A step of the discriminators and one of the generator; see `DuGan`."""

    def __init__(self, model: nn.Module, scale: float, options: DuGan, seed: int) -> None:
        super().__init__(model, scale, options.loss)
        self.options, self.opponents = options, LeastSquares()
        for index, name in enumerate(("image", "gradient")):
            generator = stream(seed, "discriminator", index)
            self.extra[name] = UNetDiscriminator(options.channels, options.levels, generator=generator)
        self.count = StepCount()
        self.extra["count"] = self.count
        self.average = MovingAverage(model, options.average) if options.average else None
        if self.average is not None:
            self.extra["average"] = self.average

    @property
    def kept(self) -> nn.Module:
        """The moving average."""
        return self.model if self.average is None else self.average.model

    def optimizers(
        self, make: MakeOptimizer, groups: Groups, rates: Mapping[str, float]
    ) -> Sequence[torch.optim.Optimizer]:
        """Of the generator and of both discriminators."""
        parameters = [list(self.extra[name].parameters()) for name in ("image", "gradient")]
        return [make(groups), *(make([{"params": held, "lr": rates["discriminator"]}]) for held in parameters)]

    def step(
        self,
        stack: Stack | ScanStack,
        generator: torch.Generator,
        optimizers: Sequence[torch.optim.Optimizer],
        optimize: Optimize,
    ) -> Tensor:
        """Returns the generator's loss; the history has those of the discriminators besides."""
        assert isinstance(stack, Stack) and stack.target is not None
        options, mixing = self.options, self._mixing(generator)
        denoised = self.prediction(stack)
        noisy, real, fake = (self.images(values) for values in (stack.input, stack.target, denoised))
        slopes = [sobel_magnitude(images) for images in (noisy, real, fake)]
        image, gradient = self.extra["image"], self.extra["gradient"]
        for _ in range(options.image_steps):
            loss = self._discriminator_loss(image, (noisy, real, fake.detach()), mixing, generator)
            optimize(loss, optimizers[1])
            self.figures = {"image_discriminator_loss": loss.detach()}
        loss = self._discriminator_loss(gradient, (slopes[0], slopes[1], slopes[2].detach()), mixing, generator)
        optimize(loss, optimizers[2])
        self.figures["gradient_discriminator_loss"] = loss.detach()
        with frozen(image, gradient):
            content = options.pixel * self.difference(denoised, stack.target)
            content = content + options.gradient * (slopes[2] - slopes[1]).abs().mean()
            judged = ((image, fake, options.adversarial_image), (gradient, slopes[2], options.adversarial_gradient))
            total = content
            for judge, seen, weight in judged:
                whole, pixels = judge(seen)
                total = total + weight * (self.opponents.generator(whole) + self.opponents.generator(pixels))
            optimize(total, optimizers[0])
        self.figures["content_loss"] = content.detach()
        if self.average is not None:
            self.average.update(self.model)
        return total

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """Of the weights that are kept."""
        assert isinstance(stack, Stack) and stack.target is not None
        return self.difference(self.kept(stack.input), stack.target)

    def _mixing(self, generator: torch.Generator) -> bool:
        """Whether this step mixes images."""
        share = min(1.0, self.count.next() / self.options.cutmix_warm_up)
        return float(torch.rand((), generator=generator)) < share * self.options.cutmix_probability

    def _discriminator_loss(
        self, judge: nn.Module, seen: tuple[Tensor, Tensor, Tensor], mixing: bool, generator: torch.Generator
    ) -> Tensor:
        """Real against generated and noisy images, on both outputs; and of a mixed one."""
        noisy, real, fake = seen
        distance = self.opponents.distance
        whole, pixels = judge(real)
        fake_whole, fake_pixels = judge(fake)
        noisy_whole, noisy_pixels = judge(noisy)
        loss = distance(whole, 1.0) + distance(pixels, 1.0)
        for verdict in (fake_whole, fake_pixels, noisy_whole, noisy_pixels):
            loss = loss + distance(verdict, 0.0)
        if mixing:
            mask = cutmix_mask(real.shape[-2], real.shape[-1], generator).to(real)
            mixed_whole, mixed_pixels = judge(mask * real + (1 - mask) * fake)
            agreed = mask * pixels + (1 - mask) * fake_pixels
            loss = loss + distance(mixed_whole, 0.0) + distance(mixed_pixels, mask)
            loss = loss + self.options.consistency * mse_loss(mixed_pixels, agreed)
        return loss


def cutmix_mask(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """1 for the real image, 0 in a box of random size (its share of the area uniform) and place, [rows, columns]."""
    share, y, x = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    side = math.sqrt(1 - share)
    mask = torch.ones(rows, columns)
    spans = []
    for count, place in ((rows, y * rows), (columns, x * columns)):
        spans.append((round(max(place - side * count / 2, 0)), round(min(place + side * count / 2, count))))
    mask[spans[0][0] : spans[0][1], spans[1][0] : spans[1][1]] = 0
    return mask
