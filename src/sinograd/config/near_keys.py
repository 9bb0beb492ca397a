"""Which of the known keys an unknown one may stand for: a slip of the pen, or the word of another program or paper.

Words are compared without case, dashes and underscores: `dist_source_origin`, `DistSourceOrigin` and
`dist-source-origin` are one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

# Our keys in the order of choice: words of papers and of TIGRE, ASTRA, CIL, ODL, RTK, mbirjax, tomopy and scanners.
# A text in quotes, with KEY for the word itself, is said where one of the keys after it is known. SID is the isocentre
# of RTK, and the image of DICOM.
_WORDS = """
source_to_origin: sod dso sad fod sid sourceorigin distsourceorigin distancesourceorigin distanceoriginsource
    sourceorigindist sourceorigindistance sourceobject sourcetoobject sourceobjectdistance srctoobject sourceaxis
    sourcetoaxis sourceaxisdistance sourceisodist sourcetoiso sourcetoisocenter sourcetoisocenterdistance sourcetocenter
    srcradius sourceradius objectsource sourcesampledistance sourcetosample
source_to_detector: sdd dsd fdd sid sourcedetector distsourcedetector distancesourcedetector sourcedetectordist
    sourcedetectordistance sourcetodetectordistance srctodetector sourcetoimage sourceimagedistance sourcedetdist
"source_to_detector = source_to_origin + KEY" source_to_origin: odd dod origindetector distorigindetector
    distorigindet distanceorigindetector origindet origintodetector axistodetector objectdetector objecttodetector
    objectdetectordistance detradius isotodetector sampletodetector sampledetectordistance detectordistance
spacing_mm voxel_mm spacing pixel_mm detector.spacing: voxelsize voxelspacing voxelpitch dvoxel deltavoxel voxel voxels
    voxelmm voxelsizemm resolution imagevoxelsize spacing spacingmm elementspacing cellsize
pixel_mm detector.spacing spacing spacing_mm voxel_mm: pixelsize pixelspacing pixelpitch ddetector detectorspacing
    detectorpixelsize detspacing detwidth pitch pixel pixelmm pixelsizemm deltadetchannel deltadetrow detectorspacingx
    detectorspacingy detectorelementsize binsize
shape detector.shape detector columns: ndetector nvoxel detshape detcount numpixels numvoxels size gridsize
    detectorshape dims dimensions detectorrowcount detectorcolcount rowcount colcount numrows numcols numdetrows
    numdetchannels detectorpixels
axis_offset center offset detector.offset: cor centerofrotation centreofrotation rotationcenter rotationcentre rotcenter
    rotaxis axisoffset offorigin rotationaxisposition detchanneloffset offdetector detectoroffset
angles_deg angles: theta thetas angle angles angledeg anglesdeg degrees projectionangles rotationangle rotationangles
    gantryangle gantryangles viewangles
reference flat unattenuated: flat flats flatfield flatfields white whites datawhite openbeam io i0 gain brightfield
    reference references ref refs
dark: dark darks darkfield darkfields datadark di offsetimage background
projections inputs scan: data image images frames proj projs projection sino sinogram sinograms tomo scan
cutoff: cuttoff cutofffrequency frequencyscaling freqcut
window ramp_window: filter filtername filtertype rampfilter ramp
iterations stop.max_steps: niter iter iters numiterations maxiter
views: nviews nangles numangles numviews numprojections nprojections
photons: dosephotons nphotons photoncount
learning_rate: lr stepsize
beam: beamtype geometrytype
center_mm center axis_offset: origin position center centre middle
unit: units unitname
"""


def _table() -> dict[str, list[str]]:
    """By each word, the keys that it may stand for."""
    table: dict[str, list[str]] = {}
    for entry in re.split(r"\n(?=\S)", _WORDS.strip()):
        keys, _, words = entry.rpartition(":")
        for word in words.split():
            table.setdefault(word, []).extend(re.findall(r'"[^"]+"|\S+', keys))
    return table


ALIASES = _table()
_LEAST_SIMILAR = 0.6
_LONGEST, _MOST = 80, 8  # characters of a key, and keys


def near_keys(key: object, known: Iterable[str]) -> list[str]:
    """The known keys that `key` may stand for, the likeliest first; none where nothing is near.

    A known key "a.b" is the key b in the mapping a; where a mapping a itself is known, so are its keys that words of
    other programs stand for.
    """
    known = list(known)
    word = _squashed(str(key)[:_LONGEST])
    same = [name for name in known if _squashed(name.rpartition(".")[2]) == word]
    if same:
        return same
    texts = words_of_others(word)
    named = [found for text in texts if (found := _found(text, known)) is not None]
    if named and texts[0].startswith('"'):
        return [texts[0].strip('"').replace("KEY", str(key))]
    if named:
        return named[: 2 if word == "sid" else 1]
    by_word = {_squashed(name.rpartition(".")[2]): name for name in known}
    close = difflib.get_close_matches(word, by_word, n=1, cutoff=_LEAST_SIMILAR)
    return [by_word[close[0]]] if close else []


def words_of_others(key: object) -> list[str]:
    """The keys of ours that a word of another program or paper stands for; none for other words."""
    return ALIASES.get(_squashed(str(key)[:_LONGEST]), [])


def did_you_mean(keys: Collection[object], known: Iterable[str]) -> str:
    """For the end of a message: "; did you mean source_to_origin?", of several unknown keys each; "" for none near."""
    known, keys = list(known), list(keys)[:_MOST]
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
    if name in known or ("." in name and name.split(".")[0] in known):
        return name
    return next((key for key in known if key.endswith(f".{name}")), None)
