"""How the package is put together: sizes, parameters, imports, choices and docstrings. Truth: its source text."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sinograd
from sinograd import choices
from sinograd.lazy import LazyPackage
from sinograd.registry import Registry

SOURCE = Path(__file__).resolve().parents[1] / "src" / "sinograd"
MAX_LINES = 400
MAX_PARAMETERS = 7

# Functions with more than seven parameters. Public ones are called by users, with keywords.
PUBLIC = {
    "datasets.patches.Patches.__init__",
    "evaluation.evaluate.evaluate",
    "geometry.cone.ConeBeam.circular",
    "geometry.cone.ConeBeam.helical",
    "geometry.cone.ConeBeam.short_scan",
    "geometry.fan.FanBeam.circular",
    "geometry.fan.FanBeam.short_scan",
    "invariance.flow.ConditionalFlow.__init__",
    "layers.unrolled.Unrolled.__init__",
    "metrics.structural_similarity.ssim",
    "morphometry.analysis.analyse",
    "ops.backprojection.add_backprojection",
    "phantoms.bone.bone",
    "phantoms.tibia.tibia",
    "phantoms.trabecular.trabecular",
    "physics.lower_dose.low_dose",
    "preparation.two_materials.correct_two_materials",
    "recon.calibration.calibrate.calibrate",
    "recon.analytic.fbp.fbp",
    "recon.analytic.fdk.fdk",
    "recon.analytic.filtered_backprojection.FilteredBackprojection.of",
    "recon.iterative.cgls.cgls",
    "recon.iterative.chambolle_pock.chambolle_pock",
    "recon.iterative.fista_tv.fista_tv",
    "recon.iterative.gradient_descent.gradient_descent",
    "recon.iterative.lsqr.lsqr",
    "recon.iterative.os_sart.os_sart",
    "recon.iterative.os_sart.sart",
    "recon.iterative.plug_and_play.pnp_admm",
    "recon.iterative.plug_and_play.pnp_proximal_gradient",
    "recon.iterative.sirt.sirt",
    "training.train.train",
    "view.page.save_page",
    "view.slices.save_preview",
    "workflows.calibration.calibrate_scan",
    "workflows.conversion.convert",
    "workflows.bone.measure_bone",
    "workflows.denoising.denoise",
    "workflows.invariance.report_invariance",
    "workflows.pairs.make_pairs",
    "workflows.reconstruction.reconstruct",
    "workflows.simulation.simulate",
}
# Their parameters are options of the command line.
COMMANDS = {
    "cli.evaluate.evaluate",
    "cli.info.info",
}
# torch's schemas are flat lists; fake and GPU twins take the same.
CUSTOM_OPERATORS = {
    "ops.backprojection.backproject",
    "ops.backprojection.backproject_adjoint",
    "ops.backprojection._",
    "ops.bilateral_kernels.bilateral_backward",
    "ops.bilateral_kernels.bilateral_backward_on_gpu",
    "ops.bilateral_kernels._",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[tuple[str, ast.Module]]:
    """Every module of the package: its name below `sinograd` ("" for the package itself) and its syntax tree."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


MODULES = modules()
NAMES = {name for name, _ in MODULES}
PACKAGES = sorted(".".join(path.parent.relative_to(SOURCE.parent).parts) for path in SOURCE.rglob("__init__.py"))


def functions(tree: ast.AST, owner: str) -> Iterator[tuple[str, Function]]:
    """Functions and methods by qualified name, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield f"{owner}.{node.name}", node
        named = isinstance(node, Function | ast.ClassDef)
        yield from functions(node, f"{owner}.{node.name}" if named else owner)


def parameters(function: Function) -> list[str]:
    """Names of the parameters, without `self`, `cls` and `ctx`."""
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    names = [argument.arg for argument in every]
    return names[1:] if names and names[0] in ("self", "cls", "ctx") else names


def is_type_checking(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def public_objects() -> dict[str, Any]:
    """What users reach: names of `__all__` of every package, by qualified name below `sinograd`."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            home = getattr(value, "__module__", package)
            if inspect.isclass(value) or inspect.isroutine(value):
                found[f"{home}.{value.__name__}".removeprefix("sinograd.")] = value
    return found


def test_no_internal_function_has_more_than_seven_parameters() -> None:
    long = {
        name
        for module, tree in MODULES
        for name, function in functions(tree, module)
        if len(parameters(function)) > MAX_PARAMETERS
    }
    allowed = PUBLIC | COMMANDS | CUSTOM_OPERATORS
    assert sorted(long - allowed) == [], "give these a dataclass, or fewer things to do"
    assert sorted(allowed - long) == [], "these need no exception any more"


def test_the_exceptions_are_what_they_are_called() -> None:
    public = public_objects()
    assert not [name for name in PUBLIC if name not in public and name.rpartition(".")[0] not in public]
    assert all(name.startswith("cli.") for name in COMMANDS)
    assert all(name.startswith("ops.") for name in CUSTOM_OPERATORS)


def test_files_are_short() -> None:
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) >= MAX_LINES
    }
    assert not long, f"expected less than {MAX_LINES} lines"


def imported(module: str, tree: ast.Module) -> set[str]:
    """Modules of the package that are loaded while this one is: its imports outside functions and type checking."""
    package = f"sinograd.{module}" if f"sinograd.{module}" in PACKAGES else f"sinograd.{module}".rpartition(".")[0]
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            found |= {home(source, alias.name) for alias in node.names}
        elif not isinstance(node, Function | ast.Lambda) and not is_type_checking(node):
            waiting += list(ast.iter_child_nodes(node))
    return {name.removeprefix("sinograd.") for name in found} & NAMES - {module}


def home(source: str, name: str) -> str:
    """The module that `from source import name` loads: a submodule, or where a lazy package has the name from."""
    if source.split(".")[0] != "sinograd":
        return source
    if f"{source}.{name}".removeprefix("sinograd.") in NAMES:
        return f"{source}.{name}"
    package = importlib.import_module(source)
    return package._homes.get(name, (source, name))[0] if isinstance(package, LazyPackage) else source


def test_imports_run_in_no_circle() -> None:
    graph = {module: imported(module, tree) for module, tree in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())
    assert len(done) == len(NAMES) > 200


def test_lazy_packages_have_the_names_that_they_promise() -> None:
    lazy = [module for name in PACKAGES if isinstance(module := importlib.import_module(name), LazyPackage)]
    assert len(lazy) > 15
    for module in lazy:
        homes = vars(module)["_homes"]
        assert set(homes) <= set(module.__all__), module.__name__
        assert set(module.__all__) <= set(dir(module)), module.__name__
        for name, (source, attribute) in homes.items():
            assert getattr(module, name) is getattr(importlib.import_module(source), attribute), name
        with pytest.raises(AttributeError, match=rf"module '{re.escape(module.__name__)}' has no attribute 'nothing'"):
            _ = module.nothing


def test_a_module_does_not_hide_the_function_of_its_name() -> None:
    module = importlib.import_module("sinograd.recon.iterative.cgls")
    assert isinstance(module, ModuleType)
    assert inspect.isfunction(sinograd.recon.iterative.cgls)


REGISTRIES = {name: value for name, value in vars(choices).items() if isinstance(value, Registry)}
ENTRIES = [(name, entry) for name, registry in REGISTRIES.items() for entry in registry.entries()]


@pytest.mark.parametrize(("registry", "entry"), ENTRIES, ids=[f"{name}-{entry.name}" for name, entry in ENTRIES])
def test_choices_load_and_are_what_their_entries_say(registry: str, entry: Any) -> None:
    """What help tells without importing anything (suffixes, whether it is written ...) is what the class says."""
    loaded = entry.load()
    assert entry.help.strip() and "\n" not in entry.help
    assert registry == registry.upper() and REGISTRIES[registry].name_of(loaded) is not None
    for name, value in entry.about.items():
        if name in vars(loaded):  # classes of other packages state them, sinograd's need not
            assert vars(loaded)[name] == value, name
    assert inspect.getdoc(loaded), f"{entry.target} has no docstring"


def test_every_public_name_has_a_docstring() -> None:
    missing = [name for name, value in public_objects().items() if not inspect.getdoc(value)]
    packages = [name for name in PACKAGES if not importlib.import_module(name).__doc__]
    assert not missing and not packages
