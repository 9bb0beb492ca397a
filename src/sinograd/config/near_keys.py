"""Which of the known keys an unknown one may stand for: a slip of the pen, or the word of another program or paper.

Words are compared without case, dashes and underscores: `dist_source_origin`, `DistSourceOrigin` and
`dist-source-origin` are one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

_SOURCE, _DETECTOR = ("source_to_origin",), ("source_to_detector",)
_BEYOND = ("source_to_detector = source_to_origin + {key}", "source_to_origin", "source_to_detector")
_VOXEL = ("spacing_mm", "voxel_mm", "spacing", "pixel_mm", "detector.spacing")
_PIXEL = ("pixel_mm", "detector.spacing", "spacing", "spacing_mm", "voxel_mm")
_SHAPE = ("shape", "detector.shape", "detector", "columns")
_OFFSET = ("axis_offset", "center", "offset", "detector.offset")
_FLAT, _DARK = ("reference", "flat", "unattenuated"), ("dark",)
_PROJECTIONS = ("projections", "inputs", "scan")
_ANGLES = ("angles_deg", "angles")

# Words of papers and of TIGRE, ASTRA, CIL, ODL, RTK, mbirjax, tomopy and scanners, and our keys in the order of choice.
# A text with {key} is said where the keys after it are known.
ALIASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        "sod dso sad fod sourceorigin distsourceorigin distancesourceorigin distanceoriginsource sourceorigindist "
        "sourceorigindistance sourceobject sourcetoobject sourceobjectdistance srctoobject sourceaxis sourcetoaxis "
        "sourceaxisdistance sourceisodist sourcetoiso sourcetoisocenter sourcetoisocenterdistance sourcetocenter "
        "srcradius sourceradius objectsource sourcesampledistance sourcetosample".split(),
        _SOURCE,
    ),
    **dict.fromkeys(
        "sdd dsd fdd sourcedetector distsourcedetector distancesourcedetector sourcedetectordist sourcedetectordistance "
        "sourcetodetectordistance srctodetector sourcetoimage sourceimagedistance sourcedetdist".split(),
        _DETECTOR,
    ),
    "sid": ("source_to_origin", "source_to_detector"),  # the isocentre of RTK, the image of DICOM
    **dict.fromkeys(
        "odd dod origindetector distorigindetector distorigindet distanceorigindetector origindet origintodetector "
        "axistodetector objectdetector objecttodetector objectdetectordistance detradius isotodetector "
        "sampletodetector sampledetectordistance detectordistance".split(),
        _BEYOND,
    ),
    **dict.fromkeys(
        "voxelsize voxelspacing voxelpitch dvoxel deltavoxel voxel voxels voxelmm voxelsizemm resolution imagevoxelsize "
        "spacing spacingmm elementspacing cellsize".split(),
        _VOXEL,
    ),
    **dict.fromkeys(
        "pixelsize pixelspacing pixelpitch ddetector detectorspacing detectorpixelsize detspacing detwidth pitch pixel "
        "pixelmm pixelsizemm deltadetchannel deltadetrow detectorspacingx detectorspacingy cellsizemm "
        "detectorelementsize binsize".split(),
        _PIXEL,
    ),
    **dict.fromkeys(
        "ndetector nvoxel detectorshape detshape detcount numpixels numvoxels size gridsize dims dimensions "
        "detectorrowcount detectorcolcount rowcount colcount numrows numcols numdetrows numdetchannels "
        "detectorpixels resolutionpixels".split(),
        _SHAPE,
    ),
    **dict.fromkeys(
        "cor centerofrotation centreofrotation rotationcenter rotationcentre rotcenter rotaxis axisoffset center "
        "centre offorigin rotationaxisposition detchanneloffset offdetector detectoroffset".split(),
        _OFFSET,
    ),
    **dict.fromkeys(
        "theta thetas angle angles angledeg anglesdeg degrees projectionangles rotationangle rotationangles gantryangle "
        "gantryangles viewangles".split(),
        _ANGLES,
    ),
    **dict.fromkeys(
        "flat flats flatfield flatfields white whites datawhite openbeam io i0 gain brightfield reference references "
        "ref refs".split(),
        _FLAT,
    ),
    **dict.fromkeys("dark darks darkfield darkfields datadark di offsetimage background".split(), _DARK),
    **dict.fromkeys(
        "data image images frames proj projs projection sino sinogram sinograms tomo scan".split(), _PROJECTIONS
    ),
    **dict.fromkeys("cuttoff cutofffrequency frequencyscaling freqcut".split(), ("cutoff",)),
    **dict.fromkeys("filter filtername filtertype rampfilter ramp".split(), ("window", "ramp_window")),
    **dict.fromkeys("niter iter iters numiterations maxiter numiter".split(), ("iterations", "stop.max_steps")),
    **dict.fromkeys("nviews nangles numangles numviews numprojections nprojections".split(), ("views",)),
    **dict.fromkeys("i0photons dosephotons nphotons photoncount".split(), ("photons",)),
    **dict.fromkeys("lr stepsize".split(), ("learning_rate",)),
    **dict.fromkeys("beamtype geometrytype".split(), ("beam",)),
    **dict.fromkeys("origin position center centre middle".split(), ("center_mm", "center", "axis_offset")),
    **dict.fromkeys("units unitname".split(), ("unit",)),
}
_LEAST_SIMILAR = 0.6


def near_keys(key: object, known: Iterable[str]) -> list[str]:
    """The known keys that `key` may stand for, the likeliest first; none where nothing is near.

    A known key "a.b" is the key b in the mapping a; where a mapping a itself is known, so are its keys that words of
    other programs stand for.
    """
    known = list(known)
    word = _squashed(str(key))
    same = [name for name in known if _squashed(name.rpartition(".")[2]) == word]
    if same:
        return same
    texts = ALIASES.get(word, ())
    named = [found for text in texts if (found := _found(text, known)) is not None]
    if named and "{key}" in texts[0]:
        return [texts[0].format(key=key)]
    if named:
        return named[:2] if word == "sid" else named[:1]
    by_word = {_squashed(name.rpartition(".")[2]): name for name in known}
    close = difflib.get_close_matches(word, by_word, n=1, cutoff=_LEAST_SIMILAR)
    return [by_word[close[0]]] if close else []


def did_you_mean(keys: Collection[object], known: Iterable[str]) -> str:
    """For the end of a message: "; did you mean source_to_origin?", of several unknown keys each; "" for none near."""
    known = list(known)
    hints = [(str(key), " or ".join(near)) for key in keys if (near := near_keys(key, known))]
    if not hints:
        return ""
    if len(keys) == 1:
        return f"; did you mean {hints[0][1]}?"
    return f"; did you mean {', '.join(f'{hint} (for {key})' for key, hint in hints)}?"


def _squashed(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.casefold())


def _found(name: str, known: Collection[str]) -> str | None:
    """A key of ours as it is known, alone or in a mapping."""
    if "{key}" in name:
        return None
    if name in known or ("." in name and name.split(".")[0] in known):
        return name
    return next((key for key in known if key.endswith(f".{name}")), None)
