"""Which options of a command a mistyped one may stand for."""

from __future__ import annotations

from typing import Any

from sinograd.config.near_keys import near_keys, words_of_others

# Keys of the geometry's YAML file that users of other programs look for among the options.
_OF_GEOMETRIES = ("source_to_origin", "source_to_detector", "angles_deg", "axis_offset")


def is_unknown_option(error: object) -> bool:
    """Whether a usage error is that of an option that the command does not have."""
    return type(error).__name__ == "NoSuchOption" and hasattr(error, "option_name")


def unknown_option(error: Any) -> str:
    """The message of an unknown option: with the options that it may stand for, or where its word belongs."""
    given, command = error.option_name, getattr(error.ctx, "command", None)
    flags = [flag for p in getattr(command, "params", ()) for flag in (*p.opts, *p.secondary_opts) if flag[:2] == "--"]
    named = {flag.removeprefix("--").replace("-", "_"): flag for flag in flags}
    word = given.lstrip("-")
    near = [key for key in near_keys(word, named) if key in named] if given.startswith("--") else []
    meant = words_of_others(word)
    if near and (not meant or near[0] in meant):
        return f"No such option: {given}; did you mean {' or '.join(named[key] for key in near)}?"
    keys = near_keys(word, _OF_GEOMETRIES) if "geometry" in named else []
    if keys:
        return f"No such option: {given}; {' or '.join(keys)} is in the YAML file that --geometry names"
    return f"No such option: {given}"
