"""Files of trained models of invariances: PyTorch archives with these entries, read without executing anything.

format        "sinograd-invariance"
version       1
kind          "autoencoder" (ConditionalVAE), "sampler" (it and its ConditionalFlow) or "embedding"
options       vae: preset, conditional; flow: blocks, hidden, embedding, width; embedding: preset, length
denoiser      name, sha256, suffix, and as bytes the file of the denoiser that it was trained for; or null
trained_on    task, data, steps, losses, seed
provenance    software, command, time
state_dict    the weights, by name; of a sampler those of "vae." and "flow."
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from sinograd.config.regular_files import check_file
from sinograd.config.schema import AT_LEAST_ONE, from_plain, to_plain
from sinograd.errors import ConfigError, InputError, InputTypeError
from sinograd.invariance.denoisers import CONTROLS, PAIRED, KnownDenoiser, denoiser_of_content, known_denoiser
from sinograd.invariance.embedding import Embedding
from sinograd.invariance.flow import ConditionalFlow
from sinograd.invariance.sampler import Autoencoder, Sampler
from sinograd.invariance.vae import ConditionalVAE, Preset
from sinograd.io.storage.atomic import replacing
from sinograd.io.storage.torch_archive import check_weight, read_archive
from sinograd.models.network_file import at_most

FORMAT, VERSION = "sinograd-invariance", 1
Count = Annotated[int, AT_LEAST_ONE]
Held = Autoencoder | Sampler | Embedding


@dataclass(frozen=True)
class _VaeOptions:
    preset: Preset
    conditional: bool


@dataclass(frozen=True)
class _FlowOptions:
    blocks: Count
    hidden: Count
    embedding: Count
    width: Count


@dataclass(frozen=True)
class _EmbeddingOptions:
    preset: Preset
    length: Count


@dataclass(frozen=True)
class _Options:
    vae: _VaeOptions | None = None
    flow: _FlowOptions | None = None
    embedding: _EmbeddingOptions | None = None


@dataclass(frozen=True, eq=False)
class _File:
    format: Literal["sinograd-invariance"]
    version: int
    kind: Literal["autoencoder", "sampler", "embedding"]
    options: _Options
    state_dict: dict[str, Any]
    denoiser: dict[str, Any] | None = None
    trained_on: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


def save_invariance(
    held: Held,
    path: str | os.PathLike[str],
    *,
    trained_on: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Write an `Autoencoder`, a `Sampler` or an `Embedding`; `load_...` gives it back, bit for bit.

    Raises:
        InputError: a name that does not end in .pt. ExistingFileError: the file exists, and `force` is not set.
    """
    target = Path(path)
    if target.suffix != ".pt":
        raise InputError(f"path: expected a name that ends in .pt, got {str(target)!r}")
    kind, options, module, denoiser = _parts(held)
    weights = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
    content = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "options": options,
        "denoiser": None if denoiser is None else _plain(denoiser),
        "trained_on": to_plain(trained_on or {}),
        "provenance": to_plain(provenance or {}),
        "state_dict": weights,
    }
    with replacing(target, force=force, needed=sum(value.nbytes for value in weights.values())) as temporary:
        torch.save(content, temporary)


def load_autoencoder(path: str | os.PathLike[str], denoiser: Any = None) -> Autoencoder:
    """A trained `ConditionalVAE` with its denoiser.

    Args:
        path: of the file, or of the folder of a run.
        denoiser: a callable, of models that were trained for one that exists in Python alone.

    Raises:
        MissingFileError: no such file. InputError: damaged, of another kind, or a denoiser that is missing.
    """
    return _load(path, "autoencoder", denoiser)


def load_sampler(path: str | os.PathLike[str], denoiser: Any = None) -> Sampler:
    """A trained flow with its autoencoder and denoiser; arguments and errors as `load_autoencoder`."""
    return _load(path, "sampler", denoiser)


def load_embedding(path: str | os.PathLike[str]) -> Embedding:
    """A trained embedding; arguments and errors as `load_autoencoder`."""
    return _load(path, "embedding", None)


def model_path(path: str | os.PathLike[str]) -> Path:
    """The file itself, or model.pt in the folder of a run; MissingFileError."""
    file = Path(path) / "model.pt" if Path(path).is_dir() else Path(path)
    check_file(file, f"no model of invariances at {file}")
    return file


def _parts(held: Held) -> tuple[str, dict[str, Any], nn.Module, KnownDenoiser | None]:
    if isinstance(held, Embedding):
        options = {"embedding": {"preset": held.preset, "length": held.length}}
        return "embedding", options, held, None
    vae = {"preset": held.vae.preset, "conditional": held.vae.conditional}
    if isinstance(held, Sampler):
        options = {"vae": vae, "flow": dict(held.flow.options)}
        return "sampler", options, nn.ModuleDict({"vae": held.vae, "flow": held.flow}), held.denoiser
    return "autoencoder", {"vae": vae}, held.vae, held.denoiser


def _plain(denoiser: KnownDenoiser) -> dict[str, Any]:
    content = torch.frombuffer(bytearray(denoiser.content), dtype=torch.uint8) if denoiser.content else None
    return {"name": denoiser.name, "sha256": denoiser.sha256, "suffix": denoiser.suffix, "content": content}


def _load(path: str | os.PathLike[str], kind: str, denoiser: Any) -> Any:
    file = model_path(path)
    try:
        saved = _checked(read_archive(file), kind)
        module = _build(saved)
        if saved.kind == "embedding":
            return module
        known = _denoiser(saved.denoiser, denoiser)
        if saved.kind == "autoencoder":
            return Autoencoder(module, known)  # pyright: ignore[reportArgumentType]
        assert isinstance(module, nn.ModuleDict)
        assert known is not None
        return Sampler(known, module["vae"], module["flow"])  # pyright: ignore[reportArgumentType]
    except (InputError, InputTypeError) as error:
        raise InputError(f"{file}: {error}") from error


def _checked(content: Any, kind: str) -> _File:
    name = content.get("format") if isinstance(content, Mapping) else None
    if name != FORMAT:
        what = "a training checkpoint" if isinstance(content, Mapping) and "sinograd" in content else f"format {name!r}"
        raise ConfigError(f"it is no model of invariances: expected format: {FORMAT}, got {what}")
    saved = from_plain(_File, content)
    if not 1 <= saved.version <= VERSION:
        raise ConfigError(f"version {saved.version}; this sinograd reads versions 1 to {VERSION}")
    if saved.kind != kind:
        raise ConfigError(f"expected the file of a trained {kind}, got that of a trained {saved.kind}")
    wanted = {"autoencoder": {"vae"}, "sampler": {"vae", "flow"}, "embedding": {"embedding"}}[kind]
    there = {key for key in ("vae", "flow", "embedding") if getattr(saved.options, key) is not None}
    if there != wanted:
        raise ConfigError(f"options: expected those of {', '.join(sorted(wanted))}, got {', '.join(sorted(there))}")
    return saved


def _build(saved: _File) -> nn.Module:
    """The model with its weights; no flow is built that is larger than they are."""
    with torch.random.fork_rng(devices=[]):
        small = _empty(dataclasses.replace(saved.options, flow=None))
    expected = small.state_dict()
    if saved.options.flow is not None:
        assert isinstance(small, ConditionalVAE)
        with torch.device("meta"), torch.random.fork_rng(devices=[]), at_most(len(saved.state_dict)):
            flow = _flow(small, saved.options.flow).state_dict()
        parts = (("vae", expected), ("flow", flow))
        expected = {f"{part}.{name}": value for part, held in parts for name, value in held.items()}
    if missing := [name for name in expected if name not in saved.state_dict]:
        raise ConfigError(f"state_dict.{missing[0]}: missing")
    for name, value in saved.state_dict.items():
        if name not in expected:
            raise ConfigError(f"state_dict.{name}: there are no such weights")
        check_weight(name, value, expected[name])
    with torch.random.fork_rng(devices=[]):
        module = _empty(saved.options)
    module.load_state_dict(saved.state_dict)
    return module.eval().requires_grad_(False)


def _empty(options: _Options) -> nn.Module:
    if options.embedding is not None:
        return Embedding(options.embedding.preset, options.embedding.length)
    assert options.vae is not None
    vae = ConditionalVAE(options.vae.preset, options.vae.conditional)
    if options.flow is None:
        return vae
    return nn.ModuleDict({"vae": vae, "flow": _flow(vae, options.flow)})


def _flow(vae: ConditionalVAE, options: _FlowOptions) -> ConditionalFlow:
    parts = (vae.latent, 1, vae.size, options.blocks, options.hidden, options.embedding)
    return ConditionalFlow(*parts, width=options.width)


def _denoiser(record: dict[str, Any] | None, given: Any) -> KnownDenoiser | None:
    if record is None:
        return None
    name, content = record.get("name"), record.get("content")
    if not isinstance(name, str):
        raise ConfigError("denoiser.name: expected a text")
    if name == "own":
        if given is None:
            raise InputError("denoiser: the model was trained for one that exists in Python alone; give it")
        return known_denoiser(given)
    if given is not None:
        raise InputError(f"denoiser: none is needed, the file holds {name}")
    if isinstance(content, Tensor):
        if content.dtype != torch.uint8 or content.ndim != 1:
            raise ConfigError(f"denoiser.content: expected bytes, got {content.dtype} {list(content.shape)}")
        return denoiser_of_content(name, str(record.get("suffix")), content.numpy().tobytes())
    if name not in (*CONTROLS, PAIRED):
        raise ConfigError(f"denoiser: expected its file, or one of {', '.join([*CONTROLS, PAIRED])}, got {name!r}")
    return known_denoiser(name)
