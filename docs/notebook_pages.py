"""Pages of the notebooks, with the outputs that are stored in them, and a gallery: a hook of mkdocs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
_LONGEST = 40  # lines of an output


def on_files(files: Any, config: Any) -> Any:
    """Adds gallery/index.md, gallery/NAME.md and gallery/NAME-N.png to the files of the site."""
    from mkdocs.structure.files import File

    for name, content in pages(FOLDER).items():
        files.append(File.generated(config, f"gallery/{name}", content=content))
    return files


def pages(folder: Path) -> dict[str, str | bytes]:
    """What is made of the notebooks in a folder: texts of pages, bytes of pictures, by their names."""
    made: dict[str, str | bytes] = {}
    entries = []
    for path in sorted(folder.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        text, pictures = page(notebook, path.stem)
        made[f"{path.stem}.md"] = text
        made |= {name: base64.b64decode(data) for name, data in pictures.items()}
        largest = max(pictures, key=lambda name: len(pictures[name]), default=None)
        entries.append(_entry(notebook, path.stem, largest))
    made["index.md"] = "\n\n".join(["# Notebooks", *entries]) + "\n"
    return made


def page(notebook: Mapping[str, Any], stem: str) -> tuple[str, dict[str, str]]:
    """A notebook as Markdown, and its pictures in base64 by their files' names."""
    parts: list[str] = []
    pictures: dict[str, str] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(re.sub(r"\$\$\n?(.*?)\n?\$\$", r"```text\n\1\n```", source, flags=re.DOTALL))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{stem}-{len(pictures) + 1}.png"
                pictures[name] = "".join(data["image/png"])
                parts.append(f"![What the cell above shows]({name})")
            elif text := "".join(output.get("text", data.get("text/plain", ""))).strip():
                parts.append(f"```text\n{_shortened(text)}\n```")
    parts.append(f"This page is `notebooks/{stem}.ipynb` of the repository, as it was last run.")
    return "\n\n".join(parts) + "\n", pictures


def title_of(notebook: Mapping[str, Any]) -> str:
    """Its first heading."""
    first = "".join(notebook["cells"][0]["source"])
    return first.splitlines()[0].lstrip("# ")


def _entry(notebook: Mapping[str, Any], stem: str, picture: str | None) -> str:
    """Of the gallery: title, what it is about, its largest picture."""
    first = "".join(notebook["cells"][0]["source"]).split("\n\n")
    about = " ".join(first[1].split()) if len(first) > 1 else ""
    shown = f"\n\n[![{title_of(notebook)}]({picture})]({stem}.md)" if picture else ""
    return f"## [{title_of(notebook)}]({stem}.md)\n\n{about}{shown}"


def _shortened(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines if len(lines) <= _LONGEST else [*lines[:_LONGEST], "..."])
