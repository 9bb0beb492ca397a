"""Writes the figures of the READMEs from the JSON files in benchmarks/results: `python benchmarks/table.py [FILE ...]`.

benchmarks/README.md holds the tables, between `<!-- benchmark table -->` or `<!-- roofline table -->` and `<!-- end
-->`; the main README holds one sentence, after `<!-- benchmark sentence -->`. Of every figure the newest run counts;
runs with `--size` do not.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import report
import roofline

HERE = Path(__file__).resolve().parent
READMES = (HERE.parent / "README.md", HERE / "README.md")
ALL_PEERS = ("rtk", "astra", "skimage", "sitk", "fourier")


def load(folder: Path) -> list[dict]:
    """Every full-size run, oldest first."""
    runs = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    dated = (run for run in runs if "date" in run and not run.get("size"))
    return sorted(dated, key=lambda run: run["date"])


def newest(runs: Iterable[dict], key: str) -> dict[tuple, tuple[dict, dict]]:
    """Run and entry of the newest figures: `timings` by (case, instruction set, peers), others by (case, ...)."""
    found = {}
    for run in runs:
        for entry in run.get(key, ()):
            who = tuple(entry["libraries"]) if "libraries" in entry else entry.get("library", "")
            found[entry["case"], _instruction_set(run), who] = (run, entry)
    return found


def performance(runs: Sequence[dict]) -> Iterator[str]:
    """Seconds and ratios, then memory, then accuracy, and what it was measured on."""
    timings = newest(runs, "timings")
    rows = [row for case in report.TITLES for found in _of(case, timings) for row in _performance_rows(*found)]
    if rows:
        header = ("work", "instructions", "sinograd, s", "G/s a core", "peer", "its time, s", "sinograd is faster by")
        yield from _table(header, _without_lonely(rows))
    memory = [report.memory_row(entry) for _, entry in newest(runs, "memory").values()]
    if memory:
        yield from ("", *_table(("memory", *report.MEMORY_HEADER[1:]), [(report.TITLES[m[0]], *m[1:]) for m in memory]))
    accuracy = list(_accuracy_rows({**timings, **newest(runs, "accuracy")}))
    if accuracy:
        yield from ("", *_table(("accuracy", "sinograd", "peers in the same run"), accuracy))
        others = ", ".join(f"{name} {value}" for name, value in report.FORWARD_ERRORS.items())
        yield from ("", f"Error of Joseph forward, case A, measured elsewhere on the same object: {others}.")
    used = {id(run): run for key in ("timings", "accuracy", "memory") for run, _ in newest(runs, key).values()}
    for run in used.values():
        yield from ("", _environment(run))


def sentence(runs: Sequence[dict]) -> Iterator[str]:
    """What the main README says of speed: the whole FDK beside itk-rtk, once for each instruction set measured."""
    found = newest(runs, "timings")
    figures, machines = [], []
    for instructions, name in (("avx512", "AVX-512"), ("avx2", "AVX2")):
        run, entry = found.get(("fdk", instructions, ("ours", "rtk")), ({}, {}))
        if entry:
            ours, ratio = entry["libraries"]["ours"], entry["libraries"]["rtk"]["ratio"]
            figures.append(f"{ours['median']:.3g} s with {name} ({ratio['median']:.3g} times faster than itk-rtk)")
            machines.append(f"{run['cores']} cores of {run['processor']}, family {run['family']}")
    if figures:
        text = (
            f"**Fast on a plain CPU.** FDK of 256³ voxels from 360 views of 256² pixels takes {', '.join(figures)} on "
            f"{'; '.join(dict.fromkeys(machines))}. [Benchmarks](benchmarks/README.md)"
        )
        yield from textwrap.wrap(text, 120, initial_indent="- ", subsequent_indent="  ")


def rooflines(runs: Sequence[dict]) -> Iterator[str]:
    """One row for each kernel and instruction set that are counted, of its newest run."""
    lines = {(case, name): entry for (case, name, _), (_, entry) in newest(runs, "lines").items()}
    best = {}
    for (case, name, _), (run, entry) in newest(runs, "timings").items():
        rate = entry["libraries"]["ours"]["rate_per_core"]
        best[case, name] = roofline.row(run, case, rate, lines.get((case, name)))
    counted = [(case, name) for name, cases in roofline.INSTRUCTIONS.items() for case in cases]
    yield from _table(roofline.HEADER, [best[key] for key in counted if key in best])


def replace(text: str, name: str, content: Iterable[str]) -> str:
    """`text` with what stands between the marker of this name and the next end marker replaced."""
    start, end = f"<!-- {name} -->", "<!-- end -->"
    block = "\n".join((start, *content, end))
    return re.sub(f"{re.escape(start)}.*?{re.escape(end)}", lambda _: block, text, flags=re.DOTALL)


def filled(text: str, runs: Sequence[dict]) -> str:
    """`text` with everything between markers made from `runs`."""
    makers: dict[str, Callable[[Sequence[dict]], Iterator[str]]] = {
        "benchmark table": performance,
        "benchmark sentence": sentence,
        "roofline table": rooflines,
    }
    for name, make in makers.items():
        text = replace(text, name, make(runs))
    return text


def main(paths: Sequence[Path]) -> None:
    """Rewrites what stands between markers."""
    runs = load(HERE / "results")
    if not runs:
        sys.exit(f"{HERE / 'results'} holds no full-size run: run benchmarks/run.py first")
    for path in paths:
        if not path.exists():
            continue
        old = path.read_text()
        new = filled(old, runs)
        if new != old:
            path.write_text(new)
            print(f"rewrote the tables of {path}")


def _of(case: str, found: dict[tuple, tuple[dict, dict]]) -> list[tuple[dict, dict]]:
    return [pair for key, pair in found.items() if key[0] == case]


def _performance_rows(run: dict, entry: dict) -> Iterator[tuple[str, ...]]:
    ours = entry["libraries"]["ours"]
    start = (
        report.TITLES[entry["case"]],
        _instruction_set(run),
        report.seconds(ours) + (f", {ours['note']}" if ours.get("note") else ""),
        f"{ours['rate_per_core'] / 1e9:.2f}",
    )
    peers = [name for name in ALL_PEERS if name in entry["libraries"]]
    if not peers:
        yield (*start, "", "", "")
    for name in peers:
        part = entry["libraries"][name]
        who = report.NAMES[name] + (f" ({part['note']})" if part["note"] else "")
        yield (*start, who, report.seconds(part), report.times(part["ratio"]))


def _without_lonely(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leaves out rows without a peer where another row of the same work and instruction set has one."""
    accompanied = {row[:2] for row in rows if row[4]}
    return [row for row in rows if row[4] or row[:2] not in accompanied]


def _accuracy_rows(found: dict[tuple, tuple[dict, dict]]) -> Iterator[tuple[str, ...]]:
    for case, title in report.TITLES.items():
        entries = [entry for _, entry in _of(case, found)]
        entries.sort(key=lambda entry: len(entry["libraries"]))
        if not entries or not entries[-1]["libraries"]["ours"]["accuracy"]:
            continue
        parts = entries[-1]["libraries"]
        peers = [
            f"{report.NAMES[name]}: {_figures(parts[name])}"
            for name in ALL_PEERS
            if parts.get(name, {}).get("accuracy")
        ]
        yield (title, _figures(parts["ours"]), "; ".join(peers))


def _figures(part: dict) -> str:
    return report.accuracy_text({"accuracy": part["accuracy"]})


def _instruction_set(run: dict) -> str:
    return run["versions"]["ours"]["instruction set"]


def _environment(run: dict) -> str:
    clock = f" at {run['clock_ghz']:.1f} GHz" if run["clock_ghz"] else ""
    versions = {key: value for part in run["versions"].values() for key, value in part.items()}
    software = ", ".join(f"{key} {value}" for key, value in versions.items() if key != "instruction set")
    return (
        f"{run['processor']} (family {run['family']}), {run['cores']} cores{clock}, {run['threads']} threads, float32, "
        f"median (minimum to maximum) of {run['repeat']} alternating runs; {software}; "
        f"commit {run['commit']}, {run['date'][:10]}."
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (header, ["---"] * len(header), *rows):
        yield "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main([Path(path) for path in sys.argv[1:]] or READMES)
