"""The front end of `sinograd view` as one file: its modules, styles and libraries written into the page."""

from __future__ import annotations

import functools
import json
import re
from importlib import resources
from typing import Any

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) (\w+))", re.M)
_EXPORTED_LIST = re.compile(r"^export \{([^}]*)\};$", re.M)
_STYLE = re.compile(r'<link rel="stylesheet" href="/static/([^"]+)">')
_SCRIPT = re.compile(r'<script src="/static/([^"]+)"></script>')
_MODULE = re.compile(r'<script type="module" src="/static/(\w+)\.js"></script>')
_LIBRARY_3D = "vendor/niivue-0.69.0.umd.js"


def view_page(meta: dict[str, Any], data: bytes, with_3d: bool) -> bytes:
    """`view.html` of a volume that the page holds.

    Args:
        meta: shape (z, y, x), low, step, details, histogram and volumes, as `embedded.js` reads them.
        data: codes of the values, deflated, base64.
        with_3d: with the library that draws volumes in 3-D.
    """
    library = f'<script type="text/plain" id="niivue">{_inside_script(static(_LIBRARY_3D))}</script>' if with_3d else ""
    before, after = _view_without_data().split("@HELD@")
    return b"".join(
        [
            before.encode(),
            b'<script type="application/json" id="meta">',
            json_text(meta),
            b"</script>",
            b'<script type="application/octet-stream" id="data">',
            data,
            b"</script>",
            library.encode(),
            after.encode(),
        ]
    )


def json_text(meta: dict[str, Any]) -> bytes:
    """JSON in which no text of the user's can end the script element or start another."""
    return json.dumps(meta, allow_nan=False).replace("<", "\\u003c").encode()


@functools.cache
def _view_without_data() -> str:
    """The page with @HELD@ before its script, which comes last, as it reads what stands before it."""
    page = static("view.html")
    module = _MODULE.search(page)
    assert module is not None
    page = page.replace(module[0], "")
    page = _STYLE.sub(lambda link: f"<style>{static(link[1])}</style>", page)
    page = _SCRIPT.sub(lambda script: f"<script>{_inside_script(static(script[1]))}</script>", page)
    code = _inside_script(bundled(module[1], {"api": "embedded"}))
    return page.replace("</body>", f'@HELD@<script>"use strict";\n{code}</script>\n</body>')


def bundled(name: str, instead: dict[str, str]) -> str:
    """A module of the front end and all that it imports as one script; other modules in the place of some."""
    done: dict[str, str] = {}

    def add(module: str) -> None:
        if module in done:
            return
        text = static(f"{instead.get(module, module)}.js")
        for _, other in _IMPORT.findall(text):
            add(other)
        done[module] = _wrapped(module, text)

    add(name)
    return "\n".join(done.values())


def _wrapped(module: str, text: str) -> str:
    """A module as a function that returns what it exports."""
    exported = _EXPORT.findall(text) + [n.strip() for names in _EXPORTED_LIST.findall(text) for n in names.split(",")]
    text = _EXPORTED_LIST.sub("", _EXPORT.sub("", text))
    text = _IMPORT.sub(lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = module_{found[2]};", text)
    return f"const module_{module} = (() => {{\n{text}\nreturn {{ {', '.join(exported)} }};\n}})();"


def static(name: str) -> str:
    """The text of a file of the front end."""
    return resources.files("sinograd.view").joinpath("static", *name.split("/")).read_text(encoding="utf-8")


def _inside_script(code: str) -> str:
    """Code that does not end the element that it stands in: such signs stand in strings and patterns alone."""
    return re.sub(r"<(?=/script|!--)", r"<\\", code, flags=re.I)
