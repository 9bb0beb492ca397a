"""`sinograd evaluate`: paired volumes and methods in, tables and a page out."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SHARED, cluster_option
from sinograd.config.shown import printable
from sinograd.errors import InputError, UnitWarning
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.report import Report, opened_report

if TYPE_CHECKING:
    from sinograd.datasets import PairedVolume
    from sinograd.evaluation import Protocol, Scores

_SPECS = (".yaml", ".yml")
_UNITS = ("HU", "1/mm", "mg/cm3", "1", "none")
_PROTOCOL = (
    "scores depend on it: ldct-benchmark (HU, a window for each body part) or full-range (4096 HU, or `data_range`)"
)


@dataclass(frozen=True)
class EvaluateRequest:
    """What to compare on what, how to score it, and where to write."""

    inputs: list[Path]
    targets: list[Path]
    methods: list[str]
    protocol: str | None
    scan: str | None = None
    output: Path | None = None
    unit: str | None = None
    group: str = ""
    data_range: float | None = None
    water: float | None = None
    against: str = "input"
    slices: int = 3
    discs: tuple[str, ...] = ()
    device: str = "cpu"
    force: bool = False
    cluster: str | None = None


_VOLUMES = "Volumes"
_SCORES = "Scores"

OPTIONS = {
    **SHARED,
    "inputs": Option(
        list[Path],
        "A YAML file of pairs (as for training), or low-dose volumes, each with a --target.",
        metavar="PAIRS",
        argument=True,
        required=True,
    ),
    "method": Option(
        list[str],
        "A model that comes along, a model file or a run's folder, a volume that any program has made (several: a path "
        "with name, stem or patient in braces; TITLE=FILE names each), or a filter tuned on each image: gaussian, "
        "median, bilateral, bm3d, the first three with -3d, bm4d; or one that estimates the noise: "
        "bilateral-estimated, bm3d-estimated, bm4d-estimated, ksvd. May be repeated.",
        ("--method", "-m"),
        metavar="NAME",
    ),
    "protocol": Option(str, "ldct-benchmark or full-range. Must be given.", metavar="NAME", panel=_SCORES),
    "target": Option(list[Path], "Normal-dose volume; one for each low-dose volume.", metavar="FILE", panel=_VOLUMES),
    "scan": Option(
        str,
        "The low-dose scan that dual-domain models start from (several: a path with name, stem or patient in braces).",
        metavar="FILE",
        panel=_VOLUMES,
    ),
    "unit": Option(str, "Volumes: what they are in, HU, 1/mm, mg/cm3 or 1.", metavar="UNIT", panel=_VOLUMES),
    "group": Option(str, "Volumes: chest, abdomen or neuro, for ldct-benchmark.", metavar="NAME", panel=_VOLUMES),
    "data_range": Option(
        float, "full-range: the data range of PSNR and SSIM, in the volumes' unit.", metavar="R", panel=_SCORES
    ),
    "water": Option(
        float, "Attenuation of water: score volumes in 1/mm in HU.", ("--water-per-mm",), metavar="MU", panel=_SCORES
    ),
    "against": Option(str, "Method that the others are compared with.", metavar="NAME", panel=_SCORES),
    "output": Option(
        Path,
        "Write CSV, LaTeX and an .html page with slices here. Default: only print.",
        ("-o", "--output"),
        metavar="FOLDER",
        panel=OUTPUT_GROUP,
    ),
    "slices": Option(int, "Slices on the page.", metavar="N", more={"min": 0}, panel=OUTPUT_GROUP),
    "disc": Option(
        list[str],
        "A disc or rod (mm; R: radius; of all volumes or one, of all slices or some): how sharp its edge is left. May "
        "be repeated.",
        metavar="X,Y,R[,VOLUME][,FIRST:END]",
        panel=_SCORES,
    ),
    "device": Option(str, "Where models compute: cpu, cuda, cuda:1 ...", metavar="NAME"),
    "cluster": cluster_option("that do a volume each at a time"),
}


@command(OPTIONS)
def evaluate(
    inputs: list[Path],
    method: list[str] | None = None,
    protocol: str | None = None,
    target: list[Path] | None = None,
    scan: str | None = None,
    unit: str | None = None,
    group: str = "",
    data_range: float | None = None,
    water: float | None = None,
    against: str = "input",
    output: Path | None = None,
    slices: int = 3,
    disc: list[str] | None = None,
    device: str = "cpu",
    cluster: str | None = None,
    force: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> None:
    """Compare denoisers: SSIM, PSNR and RMSE to the normal dose, noise, time and memory, over patients."""
    request = EvaluateRequest(
        inputs=inputs,
        targets=target or [],
        methods=method or [],
        protocol=protocol,
        scan=scan,
        output=output,
        unit=unit,
        group=group,
        data_range=data_range,
        water=water,
        against=against,
        slices=slices,
        discs=tuple(disc or ()),
        device=device,
        force=force,
        cluster=cluster,
    )
    with opened_report(None if quiet or json else "bar") as report:
        scores = evaluate_files(request, report)
    if json:
        from sinograd.cli.records import print_record

        print_record("evaluate", _record(scores, request))
    elif not quiet:
        _show(scores, request)


def _record(scores: Scores, request: EvaluateRequest) -> dict[str, Any]:
    """The means over patients, with their standard deviations, in numbers."""
    from sinograd.cli.records import unit_name
    from sinograd.evaluation.scores import METRICS

    names = {"psnr": "psnr_db", "rmse": f"rmse_{unit_name(scores.unit)}"}

    def measured(method: str) -> dict[str, Any]:
        summaries = {names.get(metric, metric): scores.summary(method, metric) for metric in METRICS}
        means = {name: {"mean": found.mean, "std": found.std} for name, found in summaries.items()}
        return means | {"slice_duration_s": scores.seconds(method), "memory_bytes": scores.memory(method)}

    return {
        "protocol": scores.protocol.name,
        "unit": scores.unit,
        "patients": list(scores.patients),
        "methods": {method.name: measured(method.name) for method in scores.methods},
        "folder": None if request.output is None else str(request.output),
    }


def evaluate_files(request: EvaluateRequest, report: Report) -> Scores:
    """Check everything, score, write."""
    from sinograd.evaluation import Disc, check_results_folder, find_method, write_results
    from sinograd.evaluation import evaluate as run

    if request.cluster is not None:  # whose workers may have another working folder
        paths = {name: [path.absolute() for path in getattr(request, name)] for name in ("inputs", "targets")}
        request = replace(request, **paths)
    if request.output is not None:
        check_results_folder(request.output, force=request.force)
    chosen_device(request.device, kernels=False)
    discs = [Disc.parse(text) for text in request.discs]
    methods = [find_method(name, request.device, scans=request.scan) for name in request.methods]
    known = ["input", *(m.name for m in methods)]
    if request.against not in known:
        raise InputError(f"`against`: expected one of {', '.join(known)}, got {request.against!r}")
    # Before the volumes are looked for: an unknown name is found at once.
    _protocol(request, "HU")
    pairs = _pairs(request, report)
    if request.output is not None:
        check_results_folder(request.output, force=request.force)  # now against all files of the pairs
    with _executor(request) as executor:
        scores = run(
            methods,
            pairs,
            _protocol(request, "HU" if request.water is not None else pairs[0].unit),
            water=request.water,
            device=request.device,
            samples=0 if request.output is None else min(request.slices, len(pairs)),
            discs=discs,
            progress=report.stage("evaluating", 0, "volumes"),
            executor=executor,
        )
    _warn_of_unchanged(scores)
    if request.output is not None:
        report.stage("writing", 0)
        options: dict[str, Any] = asdict(request)
        if request.cluster is None:
            del options["cluster"]
        write_results(
            scores,
            request.output,
            title=f"Denoisers compared on {', '.join(path.name for path in request.inputs[:3])}",
            options=options,
            details={"pairs": ", ".join(str(path) for path in request.inputs), "methods": ", ".join(request.methods)},
            force=request.force,
        )
    return scores


def _executor(request: EvaluateRequest) -> AbstractContextManager[Any]:
    """Of a cluster; None for this process."""
    if request.cluster is None:
        return nullcontext()
    from sinograd.workflows.cluster import executor_on
    from sinograd.workflows.values import Where

    return executor_on(Where(request.cluster), [request.inputs[0].resolve()], "nothing was kept")


def _protocol(request: EvaluateRequest, unit: str) -> Protocol:
    from sinograd.evaluation import protocol

    if request.protocol is None:
        raise InputError(f"`protocol`: missing; {_PROTOCOL}")
    if request.water is not None and not request.water > 0:
        raise InputError(f"`water`: expected a positive number of 1/mm, got {request.water}")
    return protocol(request.protocol, data_range=request.data_range, unit=unit)


def _pairs(request: EvaluateRequest, report: Report) -> list[PairedVolume]:
    from sinograd.datasets import PairFiles, Volumes, load_pairs
    from sinograd.evaluation import read_pairs_file

    specs = [path for path in request.inputs if path.suffix.lower() in _SPECS]
    if specs:
        given = {"`target`": request.targets, "`unit`": request.unit, "`group`": request.group}
        extra = [name for name, value in given.items() if value]
        if len(request.inputs) > 1:
            raise InputError(f"{specs[0]}: expected one file of pairs, or volumes, got {len(request.inputs)} files")
        if extra:
            raise InputError(f"{', '.join(extra)}: for volumes; {specs[0]} itself says what its pairs are")
        return read_pairs_file(specs[0], report.stage("reading", 0, "pairs"))
    if len(request.inputs) != len(request.targets):
        raise InputError(
            f"`target`: expected one for each low-dose volume, got {len(request.targets)} for {len(request.inputs)}"
        )
    if request.unit not in _UNITS:
        came = "nothing" if request.unit is None else repr(request.unit)
        raise InputError(f"`unit`: expected what the volumes are in, {', '.join(_UNITS)}, got {came}")
    files = tuple(
        PairFiles(low, normal, _name(low, request.inputs), group=request.group)
        for low, normal in zip(request.inputs, request.targets, strict=True)
    )
    return load_pairs(Volumes(layout="volumes", unit=request.unit, files=files))  # pyright: ignore[reportArgumentType]


def _name(path: Path, among: list[Path]) -> str:
    """The file's name, with its folder's where two have the same."""
    return path.name if sum(other.name == path.name for other in among) == 1 else f"{path.parent.name}/{path.name}"


def _warn_of_unchanged(scores: Scores) -> None:
    """A model in another unit than the volumes often does nothing to them."""
    noisy = scores.by_patient("input", "rmse")
    for info in scores.methods[1:]:
        found = scores.by_patient(info.name, "rmse")
        if info.parameters and all(abs(found[p] - noisy[p]) <= 1e-4 * noisy[p] for p in noisy):
            warnings.warn(
                f"{info.name} left every volume as it was: was it trained in another unit than theirs?",
                UnitWarning,
                stacklevel=2,
            )


def _show(scores: Scores, request: EvaluateRequest) -> None:
    from rich.console import Console

    from sinograd.evaluation import rich_differences, rich_edges, rich_noise, rich_scores, table_notes

    console = Console(highlight=False, soft_wrap=True)
    tables = [rich_scores(scores)]
    if scores.spectra:
        tables.append(rich_noise(scores))
    tables += rich_edges(scores)
    if len(scores.methods) > 1:
        tables.append(rich_differences(scores, request.against))
    # A table wider than the terminal is broken by the terminal, not cut.
    free = console.options.update(width=1000)
    wide = Console(width=max(console.width, *(console.measure(t, options=free).maximum for t in tables)))
    for name, text in scores.protocol.details().items():
        console.print(printable(f"{name}: {text}"), markup=False)
    for table in tables:
        wide.print(table)
    for note in table_notes(scores):
        console.print(note, markup=False)
    if request.output is not None:
        console.print(printable(f"results: {request.output}"), markup=False)
