"""What is released: source archive, checks of wheels, recipe, workflows. Truth: archives made here, the formats."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import sinograd

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "packaging"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def needs(module: str) -> Any:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"needs {module}: `make dist` brings it")


@needs("scikit_build_core")
def test_the_source_archive_has_the_same_bytes_twice(tmp_path: Path) -> None:
    """And what a wheel is built from, but nothing that was built."""
    digests, names = [], []
    for folder in ("first", "second"):
        command = [sys.executable, PACKAGING / "build.py", tmp_path / folder, "--sdist"]
        environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        (archive,) = (tmp_path / folder).iterdir()
        assert archive.name == f"sinograd-{sinograd.__version__}.tar.gz"
        digests.append(hashlib.sha256(archive.read_bytes()).hexdigest())
        with tarfile.open(archive) as content:
            names = [name.split("/", 1)[1] for name in content.getnames() if "/" in name]
    assert digests[0] == digests[1]
    assert {"CMakeLists.txt", "CHANGELOG.md", "LICENSE", "kernels/cpu/module.cpp", "tests/conftest.py"} <= {*names}
    assert not [name for name in names if re.search(r"\.so$|__pycache__|^build/|^dist/", name)]


@pytest.fixture
def check() -> Any:
    pytest.importorskip("elftools", reason="needs pyelftools: `make dist` brings it")
    return runpy.run_path(str(PACKAGING / "check.py"))


def wheel(folder: Path, module: bytes, name: str = "sinograd-0.1.0-cp312-abi3-manylinux_2_31_x86_64.whl") -> Path:
    check = runpy.run_path(str(PACKAGING / "check.py"))
    with zipfile.ZipFile(folder / name, "w") as archive:
        for entry in check["HOLDS"]:
            archive.writestr(entry, "")
        for licence in check["LICENCES"]:
            archive.writestr(f"sinograd-0.1.0.dist-info/licenses/{licence}", "")
        archive.writestr("sinograd/_native.abi3.so", module)
    return folder / name


@pytest.fixture(scope="module")
def compiled() -> bytes:
    """The module that is installed here."""
    from sinograd import _native

    return Path(str(_native.__file__)).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_a_wheel_as_it_should_be(tmp_path: Path, check: Any, compiled: bytes) -> None:
    """glibc is checked where the tag states it; this module may need a newer one than 2.31."""
    path = wheel(tmp_path, compiled, "sinograd-0.1.0-cp312-abi3-linux_x86_64.whl")
    assert list(check["findings"](path)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_the_figures_of_a_wheel(tmp_path: Path, check: Any, compiled: bytes) -> None:
    """Truth: what binutils' readelf says of the module."""
    path = wheel(tmp_path, compiled, "sinograd-0.1.0-cp312-abi3-linux_x86_64.whl")
    needs, newest = check["figures"](path)
    (tmp_path / "module.so").write_bytes(compiled)
    command = ["readelf", "--wide", "--dynamic", "--version-info", tmp_path / "module.so"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"\(NEEDED\).*\[(.*)\]", told)
    assert needs == f"sinograd/_native.abi3.so needs {', '.join(libraries)}"
    for name in ("GLIBC", "GLIBCXX"):
        versions = re.findall(rf"Name: {name}_([\d.]+)", told)
        assert f"{name} {max(versions, key=lambda text: [*map(int, text.split('.'))])}" in newest.split(" of ")[
            1
        ].split(", ")


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_a_wheel_for_arm_may_need_the_loader_of_arm(tmp_path: Path, check: Any, compiled: bytes) -> None:
    """Its name ends otherwise, and so does the loader's."""
    assert "ld-linux-aarch64.so.1" in check["LIBRARIES"]
    path = wheel(tmp_path, compiled, "sinograd-0.1.0-cp312-abi3-linux_aarch64.whl")
    assert list(check["findings"](path)) == []
    assert any(
        "tags: " in text for text in check["findings"](path.rename(tmp_path / path.name.replace("aarch64", "i686")))
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")
def test_wheels_that_are_not(tmp_path: Path, check: Any, compiled: bytes) -> None:
    def found(path: Path) -> str:
        return "\n".join(check["findings"](path))

    assert "tags: " in found(wheel(tmp_path, compiled, "sinograd-0.1.0-cp312-cp312-manylinux_2_31_x86_64.whl"))
    # as auditwheel would rename it, had it brought one: a name of the same length
    own = compiled.replace(b"libgomp.so.1\0", b"libgonp.so.1\0")
    assert own != compiled
    text = found(wheel(tmp_path, own))
    assert "libgomp.so.1 is missing" in text and "libgonp.so.1 is not on every Linux" in text
    older = wheel(tmp_path, compiled, "sinograd-0.1.0-cp312-abi3-manylinux_2_4_x86_64.whl")
    assert "glibc: the tag says 2.4, the module needs 2." in found(older)
    with zipfile.ZipFile(older, "a") as archive:
        archive.writestr("tests/test_nothing.py", "")
        archive.writestr("sinograd.libs/libgomp-a34b3233.so.1", "")
    assert "tests/test_nothing.py does not belong here" in found(older)
    assert "expected one library" in found(older)


def test_licences_of_what_the_module_holds() -> None:
    """nanobind's and robin-map's, as those that it is built with state them."""
    nanobind = pytest.importorskip("nanobind", reason="needs nanobind: `make dist` brings it")
    stated = (PACKAGING / "licences" / "nanobind.txt").read_text(encoding="utf-8")
    (licence,) = Path(nanobind.__file__).parents[1].glob("nanobind-*.dist-info/licenses/LICENSE")
    assert stated == licence.read_text(encoding="utf-8")
    header = Path(nanobind.__file__).parent / "ext" / "robin_map" / "include" / "tsl" / "robin_map.h"
    words = re.sub(r"^ \*", "", header.read_text(encoding="utf-8"), flags=re.MULTILINE).split()
    assert " ".join((PACKAGING / "licences" / "robin-map.txt").read_text("utf-8").split()) in " ".join(words)
    assert "packaging/licences/*.txt" in project()["project"]["license-files"]


def test_the_recipe_asks_for_what_the_package_asks_for(tmp_path: Path) -> None:
    sdist = tmp_path / f"sinograd-{sinograd.__version__}.tar.gz"
    sdist.write_bytes(b"the archive")
    recipe = yaml.safe_load(runpy.run_path(str(PACKAGING / "conda" / "fill.py"))["filled"](sdist))
    assert recipe["context"]["version"] == sinograd.__version__
    assert recipe["source"]["sha256"] == hashlib.sha256(b"the archive").hexdigest()
    names = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    wanted = {requirement(line, names) for line in project()["project"]["dependencies"]}
    assert wanted == {requirement(line, {}) for line in recipe["requirements"]["run"]} - {("python", "")}
    build = {requirement(line, {}) for line in project()["build-system"]["requires"]}
    assert build <= {requirement(line, {}) for line in recipe["requirements"]["host"]}
    for path in recipe["about"]["license_file"]:
        assert (ROOT / path).is_file()


def requirement(line: str, names: dict[str, str]) -> tuple[str, str]:
    """Name and range of "torch>=2.6" and of "pytorch >=2.6"."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+?)\s*((?:>=.*)?)", line)
    assert match, line
    return names.get(match[1], match[1]), match[2]


def test_the_version_stands_in_one_place() -> None:
    """No other file of a release states it: they read it, or git's tag is compared with it."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    citation = yaml.safe_load(text)
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == project()["project"]["license"]
    assert "version" not in project()["project"] and project()["project"]["dynamic"] == ["version"]
    others = [text, *(path.read_text(encoding="utf-8") for path in [*WORKFLOWS, PACKAGING / "conda" / "recipe.yaml"])]
    assert not [other for other in others if sinograd.__version__ in other]


def test_workflows_run_what_exists() -> None:
    """Targets of make, programs of the checkout, jobs that others wait for."""
    assert {path.name for path in WORKFLOWS} == {"release.yml", "test.yml"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        workflow = yaml.safe_load(text)
        assert set(re.findall(r"\bmake ([a-z-]+)$", text, flags=re.MULTILINE)) <= targets
        for program in re.findall(r"\b(packaging/[\w/]+\.py)", text):
            assert (ROOT / program).is_file(), program
        jobs = workflow["jobs"]
        for job in jobs.values():
            needed = job.get("needs", [])
            assert {needed} if isinstance(needed, str) else {*needed} <= jobs.keys()
        assert workflow["permissions"] == {"contents": "read"}  # what more a job needs it says itself


def test_nothing_is_published_but_a_tag_that_passed() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["publish"]["if"] == "github.ref_type == 'tag'" and "check" in jobs["publish"]["needs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["docs"]["needs"] == "publish"


def test_only_files_of_an_instruction_set_name_its_intrinsics() -> None:
    """Or parts that only its processors compile: all others build from these sources as well."""
    pattern = re.compile(r"<\w*intrin\.h>|\b_mm\d*_\w+|\b__m(128|256|512)|__builtin_cpu")
    guarded = re.compile(r"^#if defined\(__(SSE|x86_64)__\)\n.*?^#endif", flags=re.MULTILINE | re.DOTALL)
    sources = [path for path in (ROOT / "kernels").rglob("*") if path.suffix in (".h", ".cpp")]
    naming = {path.name for path in sources if pattern.search(guarded.sub("", path.read_text(encoding="utf-8")))}
    assert naming and all("avx" in name for name in naming), naming
