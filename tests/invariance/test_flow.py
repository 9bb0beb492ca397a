"""The conditional flow. Truth: autograd's Jacobian, analytic log-determinants, the published number of parameters."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch

from sinograd.errors import InputError, InputTypeError, MissingPackageError
from sinograd.invariance import ConditionalFlow, flow_loss
from sinograd.invariance.act_norm import ActNorm
from sinograd.invariance.flow_blocks import LeakyUnit


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def started(latent: int = 8, size: int = 16, blocks: int = 4, dtype: torch.dtype = torch.float64) -> ConditionalFlow:
    """A flow after its first batch, with weights large enough that all couplings do something."""
    flow = ConditionalFlow(
        latent, 1, size, blocks, hidden=32, embedding=12, generator=torch.Generator().manual_seed(3)
    ).to(dtype)
    flow(3 * normal(32, latent, seed=5, dtype=dtype) + 2, normal(32, 1, size, size, seed=6, dtype=dtype))
    return flow


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-5), (torch.float32, 1e-3)])
@pytest.mark.parametrize("mode", [True, False])
def test_the_inverse_is_exact(dtype: torch.dtype, error: float, mode: bool) -> None:
    flow = started(latent=32, size=16, blocks=12, dtype=dtype).train(mode)
    z, condition = normal(16, 32, dtype=dtype), normal(16, 1, 16, 16, seed=1, dtype=dtype)
    v, log_determinant = flow(z, condition)
    assert v.shape == (16, 32) and log_determinant.shape == (16,) and v.dtype == log_determinant.dtype == dtype
    assert (flow.inverse(v, condition) - z).abs().max() < error
    assert (flow(flow.inverse(z, condition), condition)[0] - z).abs().max() < error


@pytest.mark.parametrize("jacobian", [torch.func.jacrev, torch.func.jacfwd])
def test_the_log_determinant_is_that_of_autograd(jacobian: object) -> None:
    flow = started()
    z, condition = normal(5, 8), normal(5, 1, 16, 16, seed=1)
    _, log_determinant = flow(z, condition)
    for i in range(5):
        of_one = jacobian(lambda one: flow(one[None], condition[i : i + 1])[0][0])(z[i])  # type: ignore[operator] # noqa: B023
        assert abs(torch.linalg.slogdet(of_one)[1] - log_determinant[i]) < 1e-5
    assert log_determinant.std() > 0.01


def test_many_latents_of_a_condition_are_as_one_at_a_time() -> None:
    flow = started()
    z, condition = normal(3, 5, 8), normal(5, 1, 16, 16, seed=1)
    v, log_determinant = flow.of_draws(z, condition)
    assert v.shape == (3, 5, 8) and log_determinant.shape == (3, 5)
    for k in range(3):
        alone = flow(z[k], condition)
        torch.testing.assert_close(v[k], alone[0])
        torch.testing.assert_close(log_determinant[k], alone[1])
    for wrong in (z[0], z[:0]):
        with pytest.raises(InputError, match=r"z: expected latents \[K, B, 8\]"):
            flow.of_draws(wrong, condition)
    with pytest.raises(InputError, match="z: expected finite numbers"):
        flow.of_draws(torch.cat([z, z / 0]), condition)
    with pytest.raises(InputError, match=r"condition: expected \[5, 1, 16, 16\]"):
        flow.of_draws(z, condition[:4])


def test_every_latent_and_the_condition_matter() -> None:
    flow = started().eval()
    z, condition = normal(1, 8), normal(1, 1, 16, 16, seed=1)
    matrix = torch.autograd.functional.jacobian(lambda one: flow(one, condition)[0], z).reshape(8, 8)
    assert (matrix.abs() > 1e-8).sum() > 60
    assert (flow(z, condition)[0] - flow(z, condition + 1)[0]).abs().max() > 1e-3


def test_the_scales_of_a_coupling_are_between_1_over_e_and_e() -> None:
    """Weights as large as they may be: the couplings' log-scales reach 1 in absolute value, and no more."""
    flow = started(latent=4, blocks=1).eval()
    block = flow.blocks[0]
    with torch.no_grad():
        for network in (block.couple.subnet_s1, block.couple.subnet_s2):
            network[-1].bias.fill_(1e6)
    own = block.normalise.scale.abs().log().sum()
    z = normal(3, 4)
    negatives = (block.normalise(z) < 0).sum(dim=1).double()
    _, log_determinant = flow(z, normal(3, 1, 16, 16))
    torch.testing.assert_close(log_determinant, own + math.log(0.9) * negatives + 4.0)


def test_the_leaky_unit() -> None:
    unit, z = LeakyUnit(0.9), torch.tensor([[-2.0, 0.0, 3.0, -1.0]], dtype=torch.float64)
    v, log_determinant = unit(z)
    torch.testing.assert_close(v, torch.tensor([[-1.8, 0.0, 3.0, -0.9]], dtype=torch.float64))
    torch.testing.assert_close(log_determinant, torch.tensor([2 * math.log(0.9)], dtype=torch.float64))
    torch.testing.assert_close(unit.inverse(v), z)


@pytest.mark.parametrize("shape", [(64, 3), (4, 3, 5, 7)])
def test_act_norm_starts_from_the_first_batch_of_training(shape: tuple[int, ...]) -> None:
    norm, x = ActNorm(3).double(), 5 + 3 * normal(*shape)
    torch.testing.assert_close(norm.eval()(x), x)  # the identity before
    y = norm.train()(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(y.mean(dim=1), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(y.std(dim=1), torch.ones(3, dtype=torch.float64))
    scale = norm.scale.detach().clone()
    norm(7 * x)  # the second batch changes nothing
    torch.testing.assert_close(norm.scale.detach(), scale, rtol=0, atol=0)
    other = ActNorm(3).double()
    other.load_state_dict(norm.state_dict())
    torch.testing.assert_close(other.train()(x), norm(x))
    torch.testing.assert_close(norm.inverse(norm(x)), x)


def test_a_constant_channel_keeps_its_scale() -> None:
    norm = ActNorm(2).double()
    assert torch.isfinite(norm(torch.tensor([[1.0, 2.0], [1.0, 4.0]], dtype=torch.float64))).all()
    assert norm.scale[0] == 1


def test_the_embedder_starts_with_the_flow_and_not_with_the_inverse() -> None:
    flow = ConditionalFlow(4, 2, 16, 1, hidden=8, embedding=4)
    norms = [module for module in flow.modules() if isinstance(module, ActNorm)]
    assert len(norms) == 5
    v, condition = torch.randn(4, 4), torch.randn(4, 2, 16, 16)
    flow.inverse(v, condition)
    assert flow.embedder.training and not any(bool(norm.initialised) for norm in norms)
    flow.eval()(v, condition)
    assert not any(bool(norm.initialised) for norm in norms)
    flow.train()(v, condition)
    assert all(bool(norm.initialised) for norm in norms)


def test_seeds_decide_all_weights_and_permutations() -> None:
    first, again = (ConditionalFlow(6, 1, 16, 2, 8, 4, torch.Generator().manual_seed(1)).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_published_size() -> None:
    """Eulig et al.'s public code: 137.1 million (12 blocks of four networks 384-1024-1024-1024-128, the embedder)."""
    with torch.device("meta"):
        flow = ConditionalFlow()
    assert sum(parameter.numel() for parameter in flow.parameters()) == 137_134_144
    assert flow.embedder[-1].kernel_size == (8, 8)  # pyright: ignore[reportAttributeAccessIssue]


def test_training_finds_a_conditional_normal() -> None:
    """Latents of known mean and covariance given the condition: v becomes normal, the likelihood the exact one.

    z = level + A n with n standard normal, the level that of the condition's image. The least loss is the entropy
    without its constant: latent / 2 + log |det A|.
    """
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    mix = torch.tensor([[1.0, 0.0], [1.5, 0.5]])

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        level = torch.randn(count, 1, generator=generator)
        z = 2 * level + torch.randn(count, 2, generator=generator) @ mix.T
        return z, level[..., None, None].expand(-1, 1, 16, 16)

    flow = ConditionalFlow(2, 1, 16, 2, hidden=24, embedding=1, generator=generator)
    flow.embedder = torch.nn.Sequential(torch.nn.AvgPool2d(16))  # the convolutions would take most of the time
    steps = 300
    optimizer = torch.optim.Adam(flow.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        flow_loss(*flow(*draw(128))).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        z, condition = draw(4000)
        v, log_determinant = flow.eval()(z, condition)
    assert v.mean(dim=0).abs().max() < 0.1
    assert (v.T.cov() - torch.eye(2)).abs().max() < 0.15
    assert abs(float(flow_loss(v, log_determinant)) - (1 + math.log(0.5))) < 0.1


def test_the_loss_is_the_likelihood_of_the_normal_distribution() -> None:
    v = normal(7, 3)
    exact = -torch.distributions.Normal(0.0, 1.0).log_prob(v).sum(dim=1).mean() - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(flow_loss(v, torch.zeros(7, dtype=torch.float64)), exact)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((7, 1, 16, 1), "latent: expected an even number"),
        ((0, 1, 16, 1), "latent: expected an even number"),
        ((8, 1, 24, 1), "condition_size: expected a multiple of 16, got 24"),
        ((8, 0, 16, 1), "condition_channels: expected at least 1, got 0"),
        ((8, 1, 16, 0), "blocks: expected at least 1, got 0"),
    ],
)
def test_sizes_that_cannot_be(arguments: tuple[int, int, int, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ConditionalFlow(*arguments)


def test_bad_input() -> None:
    flow = started(dtype=torch.float32)
    z, condition = torch.zeros(2, 8), torch.zeros(2, 1, 16, 16)
    for call, name in ((flow, "z"), (flow.inverse, "v")):
        with pytest.raises(InputError, match=rf"{name}: expected latents \[B, 8\], got \[2, 6\]"):
            call(z[:, :6], condition)
        with pytest.raises(InputError, match=r"condition: expected \[2, 1, 16, 16\], got \[1, 1, 16, 16\]"):
            call(z, condition[:1])
        with pytest.raises(InputTypeError, match=rf"{name}: expected a tensor of torch.float32, got torch.float64"):
            call(z.double(), condition)
        with pytest.raises(InputError, match=rf"{name}: expected finite numbers"):
            call(z / 0, condition)
        with pytest.raises(InputError, match="condition: expected finite numbers"):
            call(z, condition + math.inf)
    with pytest.raises(InputError, match="z: expected at least 2 latents in the first call of training, got 1"):
        ConditionalFlow(8, 1, 16, 1, 8, 8)(z[:1], condition[:1])
    with pytest.raises(InputError, match="log_determinant"):
        flow_loss(z, z)


def test_without_freia(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(MissingPackageError, match=r"needs FrEIA: pip install 'sinograd\[invariance\]'"):
        ConditionalFlow(8, 1, 16, 1)
