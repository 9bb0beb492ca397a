"""How a reconstruction is cut into parts that fit into a memory budget: slabs of slices, the rows that they need, and
blocks of views.

FDK and filtered backprojection filter along rows, so a slab needs its band of rows and no other slab. A part counts all
that is in memory while it is computed: its slices (twice where views are summed in groups), blocks of views that are
read, filtered and backprojected, and the part before, which is being written. Prepared projections are read again for
every part. They come from

    memory     where they take at most half of the budget
    scan       a file of line integrals with nothing to prepare, whose format reads bands of rows
    scratch    a file on the disk, to which everything else is prepared once

The bits of a volume do not depend on the parts (`FilteredBackprojection`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sinograd.workflows.memory_budget import TooFewBytes, size_text

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.preparation import Preparation
    from sinograd.recon import FilteredBackprojection
    from sinograd.recon.analytic.slabs import Part

FLOAT32 = 4
UNIT_COPIES = 3
"""Of the slices that are written together: converted, packed, and in the levels of a pyramid."""
PREPARED_BLOCKS, BLOCK = 6, 8 << 20
"""Blocks of views that preparation works on, and the bytes of one."""
RING_BANDS = 5
"""Copies of a band of rows of all views that ring removal works on."""
IN_MEMORY, IN_SCAN, IN_SCRATCH = "memory", "scan", "scratch"


@dataclass(frozen=True)
class Schedule:
    """The parts of a volume, or of what is left of it.

    Attributes:
        parts: in the order in which they are computed here.
        unit: slices that are written together; parts begin at multiples of it.
        source: where prepared projections are read from: IN_MEMORY, IN_SCAN or IN_SCRATCH.
        budget: bytes that may be used.
        needed: bytes that the largest part takes, with what is held all the time.
        rows: of the detector that is used.
        scratch: bytes on the disk beside prepared projections.
    """

    parts: tuple[Part, ...]
    unit: int
    source: str
    budget: int
    needed: int
    rows: int
    scratch: int = 0

    @property
    def slices(self) -> list[tuple[int, int]]:
        """First and end of every part."""
        return [(part.slab.first, part.slab.last) for part in self.parts]

    @property
    def amplification(self) -> float:
        """Rows read for all parts, over those of the detector."""
        return sum(part.rows[1] - part.rows[0] for part in self.parts if part.rows is not None) / self.rows

    @property
    def text(self) -> str:
        """In words."""
        parts = slabs_text(self.slices, "one part")
        where = {IN_MEMORY: "in memory", IN_SCAN: "read from the scan", IN_SCRATCH: "kept in a scratch file"}
        return (
            f"{parts}, {size_text(self.needed)} of {size_text(self.budget)}; prepared projections "
            f"{where[self.source]}, rows read {self.amplification:.2f} times"
        )


def slabs_text(slices: Sequence[tuple[int, int]], one: str) -> str:
    """How many slabs (first, end), and how thick; `one`: words for a single one."""
    return f"{len(slices)} slabs of up to {max(b - a for a, b in slices)} slices" if len(slices) > 1 else one


def is_ready(scan: Scan, options: Preparation) -> bool:
    """Whether there is nothing to prepare: line integrals, of which at most rows and columns are chosen."""
    from dataclasses import replace

    from sinograd.preparation import Preparation

    plain = replace(options, rows=None, columns=None) == Preparation()
    moved = scan.calibration is not None and scan.calibration.shifts is not None
    return scan.kind == "line integrals" and plain and not moved


def file_source(scan: Scan, options: Preparation) -> str:
    """The file that prepared projections may be read from: IN_SCAN or IN_SCRATCH."""
    from sinograd.data.projections import reads_rows

    return IN_SCAN if is_ready(scan, options) and reads_rows(scan.projections) else IN_SCRATCH


def sources_of(scan: Scan, options: Preparation, geometry: Geometry, memory: int, local: bool) -> list[str]:
    """Where prepared projections may be read from, the best first, before it is known how often; see `schedule`.

    geometry: of the prepared projections; local: all parts are computed in this process.
    """
    file = file_source(scan, options)
    return [IN_MEMORY, file] if local and 2 * prepared_bytes(geometry) <= memory else [file]


def schedule(
    whole: FilteredBackprojection,
    ranges: Iterable[tuple[int, int]],
    unit: int,
    source: str,
    memory: int,
    device: torch.device,
) -> Schedule:
    """The parts of slices (first, end) that are to be computed.

    Args:
        whole: what is computed.
        ranges: slices, which begin at multiples of `unit`.
        unit: slices that are written together.
        source: where projections are read from; those in memory are counted.
        memory: bytes that may be used.
        device: where parts are computed; a GPU has its own memory beside.

    Raises:
        TooFewBytes: `memory` is too small for a unit; says what it takes.
    """
    room = memory - (prepared_bytes(whole.geometry) if source == IN_MEMORY else 0)
    parts: list[Part] = []
    largest = 0
    for first, end in ranges:
        found, needed = _cut(whole, (first, end), unit, (room, memory - room), device)
        parts += found
        largest = max(largest, needed)
    return Schedule(tuple(parts), unit, source, memory, largest + memory - room, whole.scan.detector.real_shape[0])


def prepared_bytes(geometry: Geometry) -> int:
    """Of prepared projections."""
    return FLOAT32 * math.prod(geometry.projection_shape)


def preparation_bytes(scan: Scan, options: Preparation) -> int:
    """That preparation takes at most, beside its result: references and dark images, blocks, and means for rings."""
    from sinograd.preparation.stripe_pass import band_bytes

    image = FLOAT32 * math.prod(scan.shape[1:])
    calibration = scan.calibration
    stacks = [getattr(calibration, name, None) for name in ("reference", "dark")]
    images = (
        sum(2 * int(stack.shape[0]) for stack in stacks if stack is not None) + (48 if options.ring_method else 0) + 4
    )
    bands = RING_BANDS * band_bytes(scan.shape) if options.ring_method else 0
    return bands + PREPARED_BLOCKS * max(min(BLOCK, FLOAT32 * math.prod(scan.shape)), image) + images * image


def _cut(
    whole: FilteredBackprojection, slices: tuple[int, int], unit: int, memory: tuple[int, int], device: torch.device
) -> tuple[list[Part], int]:
    """The fewest parts of about equal thickness that fit, and the bytes of the largest.

    memory: bytes for parts, and those beside.
    """
    from sinograd.ops.slab_plan import fewest_parts

    def cut(room: int) -> tuple[list[Part], int]:
        return fewest_parts(slices, unit, room, lambda some: _part(whole, some, unit, room, device))

    room, beside = memory
    parts, largest = cut(room)
    if largest <= room:
        return parts, largest
    enough = largest
    while device.type == "cpu" and (needed := cut(enough)[1]) > enough:  # blocks of views grow with the room
        enough = needed
    what = (
        f"{unit} slices of {' x '.join(map(str, whole.grid.shape[-2:]))} voxels, which are written together, and the "
        "views that they are computed from"
    )
    raise TooFewBytes(room + beside, what, enough + beside)


def _part(
    whole: FilteredBackprojection, slices: tuple[int, int], unit: int, room: int, device: torch.device
) -> tuple[Part, int]:
    """A part, and the bytes of this machine's memory that it takes, with those of the part that is being written."""
    from sinograd.ops.slab_plan import memory_of
    from sinograd.recon.analytic.slabs import part_of

    size = FLOAT32 * math.prod(whole.grid.shape[-2:])
    slab, together = (slices[1] - slices[0]) * size, UNIT_COPIES * min(unit, slices[1] - slices[0]) * size
    if device.type == "cpu":
        part, needed = part_of(whole, slices, max(1, room), (FLOAT32, False))
        return part, needed + slab + together
    there = memory_of(device, None)
    part, needed = part_of(whole, slices, there, (FLOAT32, True))
    rows = 0 if part.rows is None else part.rows[1] - part.rows[0]
    block = 3 * part.block * rows * whole.geometry.columns * FLOAT32
    return part, room + 1 if needed > there else 2 * slab + together + block
