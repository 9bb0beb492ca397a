"""The 3-D network of paper 001: its layers, and volumes of any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv3d, pad, relu

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.models import NetworkDenoiser
from sinograd.models.slabs import filter_in_place


def network(**options: object) -> sg.networks.NNSP:
    return sg.networks.NNSP(**options, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]


def volume(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_layers() -> None:
    """Kernels of the paper's table (z, y, x) and what the default channels amount to."""
    kernels = [tuple(p.shape[2:]) for p in network().parameters() if p.ndim == 5]
    assert kernels == [(3, 5, 5), (3, 5, 5), (1, 3, 3), (3, 3, 3), (1, 3, 3), (3, 3, 3)]
    assert sum(p.numel() for p in network().parameters()) == 45_345


def test_the_patches_of_the_paper() -> None:
    """41 x 41 x 21 become 25 x 25 x 13 in training and stay what they are in evaluation."""
    made, x = network(channels=(4, 3, 2, 2, 3)), volume(2, 1, 21, 41, 41)
    assert made.train()(x).shape == (2, 1, 13, 25, 25)
    assert made.eval()(x).shape == x.shape
    torch.testing.assert_close(made.eval()(x)[:, :, 4:-4, 8:-8, 8:-8], made.train()(x))


def test_the_layers_written_out() -> None:
    """ReLU after all but the last; the outermost voxels are repeated outwards."""
    made, x = network(channels=(4, 3, 2, 2, 3)).double().eval(), volume(1, 1, 3, 5, 6).double()
    y = pad(x, (8, 8, 8, 8, 4, 4), mode="replicate")
    layers = [layer for layer in made.layers if isinstance(layer, torch.nn.Conv3d)]
    for number, layer in enumerate(layers):
        y = conv3d(y, layer.weight, layer.bias)
        y = y if number == 5 else relu(y)
    torch.testing.assert_close(made(x), y)


def test_reach() -> None:
    """A voxel changes what is up to (4, 8, 8) voxels away, and nothing else."""
    made, x = network(channels=(4, 3, 2, 2, 3)).double().eval(), torch.zeros(1, 1, 13, 23, 23, dtype=torch.float64)
    with torch.no_grad():
        for p in made.parameters():
            p.abs_()  # no ReLU is off
    x = x.requires_grad_()
    made(x)[0, 0, 6, 11, 11].backward()
    assert x.grad is not None
    places = x.grad[0, 0].nonzero()
    assert places.amin(0).tolist() == [2, 3, 3] and places.amax(0).tolist() == [10, 19, 19]


def test_volumes_in_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is computed at a time, the result is that of the whole, in units of the data."""
    from sinograd.models import network_denoiser

    made = network(channels=(4, 3, 2, 2, 3)).eval()
    denoiser = NetworkDenoiser(made, 100.0, 50.0)
    values = 100 + 50 * volume(17, 12, 14)
    with torch.no_grad():
        expected = 100 + 50 * made(volume(17, 12, 14)[None, None])[0, 0]
        torch.testing.assert_close(denoiser(values), expected, rtol=1e-5, atol=1e-3)
        monkeypatch.setattr(network_denoiser, "_VOXELS", 3 * 12 * 14)
        torch.testing.assert_close(denoiser(values), expected, rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(denoiser(values[None])[0], expected, rtol=1e-5, atol=1e-3)
    part = filter_in_place(denoiser, values.clone(), slab_bytes=12 * 14 * 4 * 10)
    torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-3)


def test_bad_input() -> None:
    """One error that says what was expected."""
    with pytest.raises(InputError, match=r"x: expected volumes \[B, 1, Z, Y, X\], got \[1, 1, 20, 20\]"):
        network()(volume(1, 1, 20, 20))
    with pytest.raises(InputTypeError, match="x: expected floating point numbers"):
        network()(torch.ones(1, 1, 9, 17, 17, dtype=torch.int64))
    with pytest.raises(InputError, match=r"x: expected at least 9 x 17 x 17 voxels in training, got \[8, 17, 17\]"):
        network().train()(volume(1, 1, 8, 17, 17))
    with pytest.raises(InputError, match="channels: expected five positive numbers"):
        network(channels=(4, 3))
    with pytest.raises(InputError, match=r"volume: expected volumes \[..., Z, Y, X\], got \[20, 20\]"):
        NetworkDenoiser(network())(volume(20, 20))
