"""The registry of algorithms: what it says is what the functions do, and others can be added to it."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.choices import ALGORITHMS
from sinograd.errors import GridWarning, InputError
from sinograd.recon import Result
from sinograd.recon.algorithms import default_iterations, iterative_algorithms, working_memory

GEOMETRY = sg.FanBeam.circular(
    source_to_origin=100, source_to_detector=150, angles=sg.full_scan(20), detector=sg.FlatDetector(40, 2.0)
)
GRID = sg.Grid((30, 30), 2.0)
OPERATOR = sg.XRayTransform(GEOMETRY, GRID)
DISC = (sum(axis**2 for axis in torch.meshgrid(*GRID.axes(), indexing="ij")) < 15.0**2).float() * 0.02
PROTOCOL = ("iterations", "start", "callback", "progress")


def test_names() -> None:
    assert tuple(ALGORITHMS) == (
        *("fdk", "fbp", "helical-fbp", "katsevich", "sirt", "sart", "os-sart", "cgls", "lsqr", "fista-tv"),
        *("chambolle-pock", "gradient-descent"),
    )
    assert iterative_algorithms() == tuple(ALGORITHMS)[4:]
    assert all(entry.help and entry.about["beams"] for entry in ALGORITHMS.entries())


@pytest.mark.parametrize("name", iterative_algorithms())
def test_facts_are_the_functions(name: str) -> None:
    entry = ALGORITHMS.entry(name)
    function: Any = entry.load()
    parameters = inspect.signature(function).parameters
    assert all(parameters[option].kind is inspect.Parameter.KEYWORD_ONLY for option in PROTOCOL)
    assert bool(entry.about.get("non_negative")) == ("lower" in parameters and "upper" in parameters)
    assert bool(entry.about.get("tv_strength")) == ("strength" in parameters)
    assert default_iterations(name) == parameters["iterations"].default
    # the memory that its docstring tells; that of `sart` is that of `os_sart`
    described = inspect.getdoc(sg.recon.os_sart if name == "sart" else function) or ""
    images = re.search(r"projections (\d) images", " ".join(described.split()))
    assert images is not None and int(images[1]) == entry.about["images"]
    result = function(OPERATOR, OPERATOR(DISC), iterations=2)
    assert isinstance(result, Result) and result.iterations == 2


def test_working_memory() -> None:
    image, projections = 30**3, 20 * 40 * 40
    assert working_memory("fista-tv", (30, 30, 30), (20, 40, 40)) == 4 * (12 * image + 5 * projections)
    assert working_memory("cgls", (30, 30, 30), (20, 40, 40), 8) == 8 * (5 * image + 4 * projections)


def test_an_algorithm_of_others() -> None:
    def landweber(operator: Any, projections: Tensor, *, iterations: int = 7, start: Any = None, **_: Any) -> Result:
        return sg.recon.gradient_descent(operator, projections, iterations=iterations, start=start, regularization=0)

    ALGORITHMS.add("landweber", landweber, "plain gradients", iterative=True, beams=("FanBeam",))
    try:
        assert iterative_algorithms()[-1] == "landweber" and default_iterations("landweber") == 7
        assert working_memory("landweber", (30, 30), (20, 40)) == working_memory("fista-tv", (30, 30), (20, 40))
        assert ALGORITHMS.load("landweber")(OPERATOR, OPERATOR(DISC)).iterations == 7
    finally:
        ALGORITHMS.remove("landweber")
    with pytest.raises(InputError, match="expected fdk to have a default number of iterations"):
        default_iterations("fdk")
    with pytest.raises(InputError, match="algorithm must be one of fdk, fbp, helical-fbp, katsevich"):
        default_iterations("art")


@pytest.mark.parametrize("name", iterative_algorithms())
def test_an_object_larger_than_the_grid(name: str) -> None:
    """Each algorithm says so; an object within the grid passes without."""
    small = sg.XRayTransform(GEOMETRY, sg.Grid((8, 8), 2.0))
    with pytest.warns(GridWarning, match=r"\d+ rays beside the grid are attenuated: the object is larger") as caught:
        ALGORITHMS.load(name)(small, OPERATOR(DISC), iterations=1)
    assert len(caught) == 1 and "--" not in str(caught[0].message)
    ALGORITHMS.load(name)(OPERATOR, OPERATOR(DISC), iterations=1)
