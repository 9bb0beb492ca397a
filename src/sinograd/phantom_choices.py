"""The phantoms that sinograd offers; `sinograd.choices` has them beside all other choices."""

from __future__ import annotations

from typing import Any

from sinograd.registry import Registry

# Phantoms: functions that give `phantoms.Ellipsoids`; their first argument is a seed, unless seeded is False.
#   options: further arguments, of the phantom at its natural width
#   width_mm: its natural width; None: any, as all fit it; it is then 1 mm wide
#   usual_mm: how wide one of any width is, where no scanner says it
#   scanner, views, detector: what `simulate` scans it with, unless told otherwise: a scanner, how many views of it and
#     into how many elements (rows, columns) its detector is divided; rows_mm: the height of the detector that is used
#   pair_options: options that datasets have otherwise
#   group: the body part, for protocols that have windows for each
#   materials: of phantoms for beams of many energies: by material, which share of its density the parts have that each
#     argument stands for; or "module:function" of one with the same arguments that gives a `phantoms.MaterialPhantom`
PHANTOMS: Registry[Any] = Registry("phantom", "sinograd.phantoms")
_ABDOMEN = {
    "width_mm": 340.0,
    "scanner": "siemens-definition-as",
    "views": 576,
    "detector": (32, 368),
    "materials": "sinograd.phantoms.abdomen_materials:abdomen_of_materials",
}
PHANTOMS.add("abdomen", "sinograd.phantoms.abdomen:abdomen", "organs with lesions", group="abdomen", **_ABDOMEN)
PHANTOMS.add(
    "abdomen-implant",
    "sinograd.phantoms.abdomen:abdomen",
    "the same with screws and rods of titanium",
    options={"implant": "titanium"},
    group="abdomen",
    **_ABDOMEN,
)
PHANTOMS.add(
    "ball",
    "sinograd.phantoms.balls:ball",
    "one even ball",
    seeded=False,
    options={"radius": 0.5, "value": 0.02},
    usual_mm=200.0,
    scanner="tigre-default",
    views=180,
    detector=(128, 128),
)
PHANTOMS.add(
    "bone",
    "sinograd.phantoms.bone:bone",
    "trabecular and cortical bone",
    options={"size": 1.0},
    usual_mm=5.0,
    scanner="walnut",
    views=360,
    detector=(256, 256),
    materials={
        "bone": {"cortical": 1.0, "trabecular": 0.94},
        "adipose": {"marrow": 1.0},
        "water": {"fluid": 1.0},
    },
)
PHANTOMS.add(
    "chest",
    "sinograd.phantoms.chest:chest",
    "lungs with nodules and vessels",
    group="chest",
    **_ABDOMEN,
)
PHANTOMS.add(
    "rods",
    "sinograd.phantoms.cylinders:rods",
    "groups of rods for line pairs per cm",
    seeded=False,
    width_mm=200.0,
    scanner="tigre-default",
    views=720,
    detector=(8, 512),
    rows_mm=6.4,
)
PHANTOMS.add(
    "shepp-logan",
    "sinograd.phantoms.shepp_logan:shepp_logan_3d",
    "the head of Kak and Slaney",
    seeded=False,
    options={"radius": 0.5, "value": 0.02, "variant": "kak-slaney"},
    pair_options={"value": 0.0193},
    usual_mm=200.0,
    scanner="tigre-default",
    views=360,
    detector=(256, 256),
)
PHANTOMS.add(
    "tibia",
    "sinograd.phantoms.tibia:tibia",
    "osteons and lacunae of cortical bone",
    options={"height": 0.15},
    width_mm=1.3,
    scanner="zeiss-xradia-620",
    views=400,
    detector=(32, 512),
    rows_mm=0.432,
    materials={"bone": {"cortical": 1.0}, "adipose": {"marrow": 1.0}, "water": {"fluid": 1.0}},
)
PHANTOMS.add(
    "water",
    "sinograd.phantoms.cylinders:water",
    "a cylinder of water for HU and noise",
    seeded=False,
    width_mm=200.0,
    scanner="siemens-definition-as",
    views=576,
    detector=(32, 368),
    materials={"water": {"value": 1.0}},
)
