"""Values of other people's files in messages: one short line, whatever they are."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable


def shown(value: object, most: int = 80) -> str:
    """`repr` of a value, cut to `most` characters; long lists and deep nesting are not written out to be cut."""
    try:
        text = " ".join(_SHORT.repr(value).split())
    except Exception:  # of integers with too many digits, of foreign objects
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def some(names: Iterable[object], most: int = 8) -> str:
    """Names with commas; of many the first, and how many more there are."""
    texts = [str(name)[:80] for name in names]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def printable(text: str) -> str:
    """A text whose control characters are written out as escapes, such as \\x1b, so that no terminal obeys them."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 4, 200, 200, 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 12
