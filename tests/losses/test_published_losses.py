"""Losses of published networks. Truth: slow loops over pixels, SciPy, finite differences, layers written out."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, relu

from sinograd.choices import ADVERSARIAL_LOSSES
from sinograd.errors import ConfigError, FormatError, InputError, MissingFileError
from sinograd.losses import (
    JBFNetLoss,
    LeastSquares,
    Perceptual,
    Sobel,
    StructureAware,
    VGGFeatures,
    Wasserstein,
    WeightedSum,
    as_loss,
    mse,
)
from sinograd.losses.sobel import sobel


def images(*shape: int, noise: float = 0.05, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A disc with a bar on a slope, and the same with noise; in [0, 1]."""
    drawn = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape[-2:]), indexing="ij")
    clean = 0.3 + 0.1 * x + 0.4 * ((y - 0.2) ** 2 + x**2 < 0.3) + 0.2 * ((x - y).abs() < 0.08)
    clean = clean.expand(shape).clone()
    return (clean + noise * torch.randn(shape, generator=drawn, dtype=torch.float64)), clean


def structure_aware_slowly(predicted: np.ndarray, target: np.ndarray, strength: str) -> float:
    """Equations 2 to 6 pixel by pixel, by NumPy's gradient and singular values, and scikit-image's similarity."""
    dy, dx = np.gradient(target)
    _, similarity = structural_similarity(
        predicted, target, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    losses = []
    for m in range(5, target.shape[0] - 5):
        for n in range(5, target.shape[1] - 5):
            part = np.s_[m - 5 : m + 6, n - 5 : n + 6]
            matrix = np.stack([dx[part].ravel(), dy[part].ravel()], axis=1)
            first, second = np.linalg.svd(matrix, compute_uv=False)  # roots of the eigenvalues of G^T G
            mu = (first - second) / (first + second) if first > 0 else 0.0
            exponents = np.exp([1.8 * mu, 0.35, first**2 if strength == "lambda" else first])
            g1, g2, g3 = exponents / exponents.sum()
            error = abs(predicted[m, n] - target[m, n])
            losses.append((g1 * error**2 + g2 * error - g3 * similarity[m, n] + error) / 2)
    return float(np.mean(losses))


@pytest.mark.parametrize("strength", ["lambda", "sqrt"])
def test_structure_aware_is_a_slow_loop(strength: Any) -> None:
    noisy, clean = images(2, 1, 19, 22)
    expected = np.mean(
        [structure_aware_slowly(a[0].numpy(), b[0].numpy(), strength) for a, b in zip(noisy, clean, strict=True)]
    )
    assert StructureAware(strength=strength)(noisy, clean).item() == pytest.approx(expected, abs=1e-9)
    single = StructureAware(strength=strength)(noisy.float(), clean.float())
    assert single.item() == pytest.approx(expected, abs=1e-6) and single.dtype == torch.float32


def test_weights_of_structure_aware() -> None:
    """Flat: L1 and SSIM share; an edge: L2; a corner of strong gradients: SSIM. Turned images, turned weights."""
    loss = StructureAware()
    flat = loss.weights(torch.full((11, 11), 0.4))[:, 0, 0]
    torch.testing.assert_close(flat, torch.softmax(torch.tensor([0.0, 0.35, 0.0], dtype=torch.float64), 0))
    edge = torch.zeros(11, 11, dtype=torch.float64)
    edge[:, 6:] = 0.3  # gradients of 0.15 in two columns: strength 22 x 0.0225, coherence 1
    expected = torch.softmax(torch.tensor([1.8, 0.35, 22 * 0.0225], dtype=torch.float64), 0)
    torch.testing.assert_close(loss.weights(edge)[:, 0, 0], expected, rtol=1e-9, atol=0)
    checks = (torch.arange(22)[:, None] // 2 + torch.arange(22) // 2) % 2
    assert loss.weights(checks.double())[2].min() > 0.9
    _, clean = images(1, 20, 20)
    turned = loss.weights(torch.rot90(clean, 1, (-2, -1)))
    torch.testing.assert_close(turned, torch.rot90(loss.weights(clean), 1, (-2, -1)))


def test_windows_in_the_unit_of_the_data() -> None:
    """In HU with a window the loss is that of the clipped images; beyond the window on the right side is right."""
    noisy, clean = images(1, 1, 16, 16)
    low, width = -160.0, 400.0
    windowed = StructureAware(window=(low, low + width))
    expected = StructureAware()(noisy, clean)
    assert windowed(noisy * width + low, clean * width + low, scale=37.0).item() == pytest.approx(expected.item())
    bright = torch.where(clean > 0.6, 5.0, clean)
    clipped = StructureAware()(bright.clamp_max(1), bright.clamp_max(1))
    above = StructureAware(window=(0, 1))(torch.where(clean > 0.6, 3.0, clean), bright)
    assert above.item() == pytest.approx(clipped.item())
    prediction = torch.where(clean > 0.6, 3.0, noisy).requires_grad_()
    StructureAware(window=(0, 1))(prediction, clean).backward()
    assert prediction.grad is not None and bool((prediction.grad[..., 5:-5, 5:-5] != 0).all())


def test_targets_that_do_not_fit() -> None:
    loss, air = StructureAware(), torch.tensor([-1000.0, 300.0])
    with pytest.raises(InputError, match=r"^window: expected .* needs values in \[0, 1\] and the training targets rea"):
        loss.check_targets([air], scale=1.0)
    with pytest.raises(InputError, match=r"\[0, 1\] \(of the scale 500\) and .* from -1000 to 300"):
        loss.check_targets([air], scale=500.0)
    loss.check_targets([torch.tensor([0.0, 400.0])], scale=400.0)
    StructureAware(window=(-160, 240)).check_targets([torch.linspace(-1000, 300, 50)], scale=500.0)
    with pytest.raises(InputError, match=r"window: \[0, 1\] clips 100 % of the values, .* from -1000 to 300"):
        StructureAware(window=(0, 1)).check_targets([air], scale=500.0)
    with pytest.raises(InputError, match="window: expected two finite numbers, low < high"):
        StructureAware(window=(1, 0))
    with pytest.raises(InputError, match="strength: expected lambda or sqrt, got 'l1'"):
        StructureAware("l1")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 11 pixels along each axis for structure-aware"):
        loss(torch.zeros(10, 20), torch.zeros(10, 20))


def test_sobel_is_scipys() -> None:
    noisy, clean = images(2, 9, 11)

    def of_slices(image: Tensor, axis: int) -> np.ndarray:
        return np.stack([ndimage.sobel(one.numpy(), axis=axis)[1:-1, 1:-1] / 4 for one in image])

    theirs = [[of_slices(image, axis) for axis in (0, 1)] for image in (noisy, clean)]
    for found, expected in zip(sobel(noisy), theirs[0], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    magnitudes = [np.sqrt(gy**2 + gx**2 + 1e-4) for gy, gx in theirs]
    assert Sobel()(noisy, clean).item() == pytest.approx(np.abs(magnitudes[0] - magnitudes[1]).mean(), rel=1e-9)
    components = sum(np.abs(a - b).mean() for a, b in zip(*theirs, strict=True))
    assert Sobel("components")(3 * noisy, 3 * clean, scale=3).item() == pytest.approx(components, rel=1e-9)
    with pytest.raises(InputError, match="at least 3 pixels"):
        Sobel()(torch.zeros(2, 5), torch.zeros(2, 5))


def test_jbfnet_in_plain_words() -> None:
    """The authors' masks are not divided; stages: the prior, then the blocks before the last."""
    noisy, clean = images(2, 1, 12, 10)
    stages = [images(2, 1, 12, 10, seed=i)[0] for i in range(1, 5)]
    masks = torch.tensor([[[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]]).double()

    def one(image: Tensor) -> Tensor:
        edges = conv2d(image - clean, masks[:, None]).abs().sum(1).mean()
        return (image - clean).square().mean() + 0.1 * edges

    assert JBFNetLoss()(noisy, clean).item() == pytest.approx(one(noisy).item())
    prior, *blocks = stages
    expected = one(noisy) + 0.1 * (prior - clean).square().mean() + 0.1 * sum(one(block) for block in blocks)
    assert JBFNetLoss()(4096 * noisy, 4096 * clean, scale=4096, stages=[4096 * s for s in stages]).item() == (
        pytest.approx(expected.item())
    )
    inputs = [image[:1, :, :4, :5].clone().requires_grad_() for image in (noisy, *stages[:2])]
    target = clean[:1, :, :4, :5]
    assert torch.autograd.gradcheck(lambda x, *rest: JBFNetLoss()(x, target, stages=rest), inputs)


def vgg_file(path: Path, network: str = "vgg16", **changed: Any) -> dict[str, Tensor]:
    """A file with torchvision's names: small random weights, and a part of the classifier."""
    torch.manual_seed(3)
    weights = {name: 0.05 * torch.randn(value.shape) for name, value in VGGFeatures(network, 9).state_dict().items()}  # type: ignore[arg-type]
    weights |= {"classifier.0.bias": torch.zeros(3)}
    torch.save(weights | changed, path)
    return weights


@pytest.mark.parametrize("kind", ["sparse", "complex", "packed", "damaged"])
def test_files_of_no_dense_weights_are_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "vgg16.pth"
    weights = vgg_file(path)
    first = weights["features.0.weight"]
    if kind == "sparse":
        vgg_file(path, "vgg16", **{"features.0.weight": first.to_sparse()})
    elif kind == "complex":
        vgg_file(path, "vgg16", **{"features.0.weight": first + 1j})
    elif kind == "packed":
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "new", "w", zipfile.ZIP_DEFLATED) as new:
            for entry in old.infolist():
                new.writestr(entry.filename, old.read(entry))
        (tmp_path / "new").replace(path)
    else:
        path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(FormatError, match=r"vgg16\.pth") as caught:
        Perceptual(weights=path, network="vgg16", layer=7)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_perceptual_loss_of_a_file(tmp_path: Path, legacy: bool) -> None:
    """The first two blocks of VGG16 written out; torchvision's files are in PyTorch's old format."""
    path = tmp_path / "vgg16.pth"
    weights = vgg_file(path)
    torch.save(weights, path, _use_new_zipfile_serialization=not legacy)

    def features(image: Tensor, imagenet: bool = False) -> Tensor:
        x = image.expand(-1, 3, -1, -1)
        if imagenet:
            mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
            x = (x - mean[:, None, None]) / std[:, None, None]
        for index in (0, 2, 5, 7):
            if index == 5:
                x = max_pool2d(x, 2)
            x = conv2d(x, weights[f"features.{index}.weight"], weights[f"features.{index}.bias"], padding=1)
            x = x if index == 7 else relu(x)
        return x

    noisy, clean = (image.float() for image in images(2, 1, 16, 18))
    options: dict[str, Any] = {"weights": path, "network": "vgg16", "layer": 7}
    difference = features(noisy) - features(clean)
    assert Perceptual(**options)(noisy, clean).item() == pytest.approx(difference.abs().mean().item(), rel=1e-5)
    squared = Perceptual(**options, norm="mse")(400 * noisy, 400 * clean, scale=400.0)
    assert squared.item() == pytest.approx(difference.square().mean().item(), rel=1e-5)
    difference = features(noisy, True) - features(clean, True)
    windowed = Perceptual(**options, imagenet=True, window=(0, 2))(2 * noisy, 2 * clean)
    assert windowed.item() == pytest.approx(difference.abs().mean().item(), rel=1e-5)
    assert Perceptual(**options).notes == ()


def test_vgg_has_torchvisions_layers() -> None:
    """`features` of torchvision: convolutions of VGG19 at 0, 2, 5, 7, 10 ..., conv5_4 at 34; of VGG16 conv5_3 at 28."""
    with torch.device("meta"):
        found = {name: VGGFeatures(name, last) for name, last in (("vgg16", 30), ("vgg19", 36))}
    places = {
        name: [i for i, layer in enumerate(vgg.features) if isinstance(layer, nn.Conv2d)] for name, vgg in found.items()
    }
    assert places["vgg16"] == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert places["vgg19"] == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    counts = {name: sum(p.numel() for p in vgg.parameters()) for name, vgg in found.items()}
    assert counts == {"vgg16": 14_714_688, "vgg19": 20_024_384}  # torchvision's, without the classifier
    assert found["vgg19"].least == 32 and VGGFeatures("vgg16", 3).least == 1


def test_random_weights_are_asked_for_and_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"loss.weights: missing, expected random or the path of a file"):
        as_loss("perceptual")
    loss: Any = as_loss({"name": "perceptual", "weights": "random", "network": "vgg16", "layer": 5})
    assert loss.notes == ("perceptual loss with random vgg16 weights",)
    assert WeightedSum([(loss, 1.0)]).notes == loss.notes  # type: ignore[arg-type]
    noisy, clean = (image.float() for image in images(1, 1, 8, 8))
    other = Perceptual("random", "vgg16", 5, seed=1)
    assert loss(noisy, clean).item() == Perceptual("random", "vgg16", 5)(noisy, clean).item()
    assert loss(noisy, clean).item() != other(noisy, clean).item()
    with pytest.raises(
        MissingFileError, match=r"weights: no file at .*vgg19.pth; expected torchvision's weights of vgg"
    ):
        Perceptual(tmp_path / "vgg19.pth")


def test_wrong_weights(tmp_path: Path) -> None:
    options: dict[str, Any] = {"network": "vgg16", "layer": 7}
    path = tmp_path / "weights.pth"
    vgg_file(path, **{"features.2.weight": torch.zeros(3, 3)})
    with pytest.raises(FormatError, match=r"features.2.weight \[64, 64, 3, 3\], got \[3, 3\]"):
        Perceptual(path, **options)
    vgg_file(path, **{"features.0.bias": torch.full((64,), math.nan)})
    with pytest.raises(FormatError, match=r"features.0.bias has NaN or infinite weights"):
        Perceptual(path, **options)
    torch.save({"model": 3}, path)
    with pytest.raises(
        FormatError, match=r"no weights of VGG as torchvision names them: features.0.weight .* got noth"
    ):
        Perceptual(path, **options)
    path.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(FormatError, match=r"is damaged or no file of PyTorch weights"):
        Perceptual(path, **options)
    for words, more in (
        ("network: expected vgg16 or vgg19, got 'vgg11'", {"network": "vgg11"}),
        ("layer: expected 0 to 36 of vgg19, got 37", {"layer": 37}),
        ("norm: expected mae or mse, got 'l1'", {"norm": "l1", "layer": 2}),
    ):
        with pytest.raises(InputError, match=words):
            Perceptual("random", **more)
    with pytest.raises(InputError, match=r"at least 4 pixels along each axis for layer 12 of vgg16, got \[3, 8\]"):
        Perceptual("random", "vgg16", 12).check((3, 8))


def test_imagenet_needs_values_in_a_range() -> None:
    air = [torch.tensor([-1000.0, 300.0])]
    Perceptual("random", "vgg16", 0).check_targets(air, scale=500.0)
    with pytest.raises(InputError, match=r"needs values in \[0, 1\]"):
        Perceptual("random", "vgg16", 0, imagenet=True).check_targets(air, scale=500.0)


def critic(weight: Tensor) -> nn.Module:
    """tanh of a linear function of 2 x 2 images, one score each."""
    layer = nn.Linear(4, 1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return nn.Sequential(nn.Flatten(), layer, nn.Tanh())


def test_wasserstein_penalty_is_its_formula() -> None:
    """Of a linear critic the slope is its weight's norm everywhere; of another one at points between the images."""
    weight = torch.tensor([[0.1, -0.2, 0.3, 0.4]], dtype=torch.float64)
    linear = critic(weight)[:2]  # type: ignore[index]
    real, fake = (torch.rand(3, 1, 2, 2, dtype=torch.float64) for _ in range(2))
    generator = torch.Generator().manual_seed(0)
    loss = Wasserstein(penalty=7.0)
    assert loss.penalty(linear, real, fake, generator).item() == pytest.approx(7 * (weight.norm().item() - 1) ** 2)
    share = torch.rand(3, 1, 1, 1, generator=generator.manual_seed(5), dtype=torch.float64)
    bent, slopes = critic(weight), []
    for image in share * real + (1 - share) * fake:
        x = image.clone().requires_grad_()
        bent(x[None]).sum().backward()
        assert x.grad is not None
        slopes.append((x.grad.norm() - 1) ** 2)
    found = loss.penalty(bent, real, fake, generator.manual_seed(5))
    assert found.item() == pytest.approx(7 * torch.stack(slopes).mean().item())
    assert loss.critic(real, fake).item() == pytest.approx((fake.mean() - real.mean()).item())
    assert loss.generator(fake).item() == pytest.approx(-fake.mean().item())


def test_gradients_of_adversarial_losses() -> None:
    """With respect to scores, and of the penalty with respect to the critic's weights."""
    real, fake = (torch.rand(3, 1, 2, 2, dtype=torch.float64) for _ in range(2))
    for name in ADVERSARIAL_LOSSES:
        loss = ADVERSARIAL_LOSSES.load(name)()
        scores = [torch.rand(3, 1, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        assert torch.autograd.gradcheck(loss.critic, scores)
        assert torch.autograd.gradcheck(loss.generator, scores[:1])

    def penalty(weight: Tensor) -> Tensor:
        return Wasserstein().penalty(
            lambda x: torch.tanh(x.flatten(1) @ weight), real, fake, torch.Generator().manual_seed(1)
        )

    assert torch.autograd.gradcheck(penalty, torch.rand(4, 1, dtype=torch.float64, requires_grad=True))


def test_least_squares() -> None:
    real, fake = torch.tensor([0.5, 1.0]), torch.tensor([0.2, -0.2])
    loss = LeastSquares()
    assert loss.critic(real, fake).item() == pytest.approx(0.125 + 0.04)
    assert loss.generator(fake).item() == pytest.approx((0.8**2 + 1.2**2) / 2)
    with pytest.raises(InputError, match="penalty: expected a number that is not negative, got -1"):
        Wasserstein(-1)


def test_a_sum_of_losses() -> None:
    noisy, clean = images(1, 1, 12, 12)
    loss: Any = as_loss({"name": "sum", "terms": [{"loss": "mse"}, {"loss": {"name": "sobel"}, "weight": 0.3}]})
    expected = mse(noisy, clean, scale=2.0) + 0.3 * Sobel()(noisy, clean, scale=2.0)
    assert loss(noisy, clean, scale=2.0).item() == pytest.approx(expected.item())
    assert not loss.pointwise and as_loss({"name": "sum", "terms": [{"loss": "mae"}]}).pointwise  # type: ignore[attr-defined]
    for words, terms in (
        ("terms: expected at least one loss, got none", []),
        ("terms: nn-sp has a unit, and stands alone", [{"loss": "nn-sp"}]),
        (r"loss.terms\[0\].weight: expected a number that is not negative, got -1", [{"loss": "mse", "weight": -1}]),
    ):
        with pytest.raises(InputError, match=words):
            as_loss({"name": "sum", "terms": terms})
