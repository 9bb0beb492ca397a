"""How far each axial kernel is from what the processor could do. README.md says how this is counted."""

from __future__ import annotations

from report import TITLES

# Vector instructions of full width that one core can start a clock: (vendor, family) of /proc/cpuinfo.
SLOTS = {
    "avx512": {("AuthenticAMD", "25"): 2, ("AuthenticAMD", "26"): 4, ("GenuineIntel", "6"): 2},
    "avx2": {("AuthenticAMD", "25"): 4, ("AuthenticAMD", "26"): 4, ("GenuineIntel", "6"): 3},
}
# Vector instructions for 16 samples of case A, loads and stores not counted: of the compiled loops. The
# general ones count the third line that some vectors touch, the backprojection its share of finding the windows.
INSTRUCTIONS = {
    "avx512": {
        "backprojection": 14.0,
        "forward": 14.0,
        "adjoint": 32.0,
        "general-backprojection": 35.0,
        "general-forward": 25.0,
        "bilateral-forward": 16.0,
        "bilateral-backward": 24.0,
    },
    "avx2": {"backprojection": 29.3},
}

HEADER = (
    "kernel",
    "instructions",
    "vector instructions for 16 samples",
    "limit, clocks",
    "measured, clocks",
    "share of the limit",
    "in the loop, clocks",
    "time in setting up",
)


def row(run: dict, case: str, rate_per_core: float, lines: dict | None) -> tuple[str, ...]:
    """The roofline of one kernel in one run; `lines` is its entry from `lines.py`."""
    instruction_set = run["versions"]["ours"]["instruction set"]
    slots = SLOTS.get(instruction_set, {}).get((run["vendor"], run["family"]))
    clock = run["clock_ghz"]
    instructions = INSTRUCTIONS.get(instruction_set, {}).get(case)
    limit = instructions / slots if instructions and slots else None
    measured = clock * 1e9 * 16 / rate_per_core if clock else None
    loop = clock * 1e9 * 16 * lines["sample"] if clock and lines else None
    return (
        TITLES[case],
        instruction_set,
        _number(instructions),
        _number(limit),
        _number(measured),
        f"{limit / measured:.0%}" if limit and measured else "",
        _number(loop),
        f"{lines['setup_share']:.0%}" if lines else "",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
