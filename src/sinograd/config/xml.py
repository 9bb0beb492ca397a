"""XML: one strict parser. Documents that declare entities are refused, whose expansion has no bound."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from sinograd.config.regular_files import LARGEST_TEXT, check_regular
from sinograd.errors import FormatError

_DEEPEST, _MOST = 100, 1_500_000  # levels, and elements: those of 100,000 projections


def load_xml(content: bytes | Path, source: str = "", kind: str = "an XML file") -> ElementTree.Element:
    """The root element of a document.

    Args:
        content: the document, or its file.
        source: what error messages call it; by default the file's name.
        kind: what it should be, for messages.

    Raises:
        FormatError: no XML, an unknown encoding, entities, elements nested without end; names source and line.
        FileError: the file is a pipe, a socket or a device.
        OSError: the file cannot be read.
    """
    source = source or ("the text" if isinstance(content, bytes) else str(content))
    if isinstance(content, Path):
        check_regular(content)
        if content.stat().st_size > LARGEST_TEXT:
            raise FormatError(f"{source} has more than {LARGEST_TEXT:,} bytes, which are read of an XML file")
        content = content.read_bytes()
    builder, depth, count = ElementTree.TreeBuilder(), 0, 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > _DEEPEST or count > _MOST:
            raise FormatError(f"more than {_DEEPEST} levels or {_MOST:,} elements are not read")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def entity(name: str, *_: object) -> None:
        raise FormatError(f"entities are not read (&{name};)")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = builder.data, entity
    try:
        parser.Parse(content, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:  # unknown encodings among them
        reason = f"{type(error).__name__}: {error}" if isinstance(error, AssertionError) else str(error)
        raise FormatError(f"{source} is not {kind}: {reason}") from error
