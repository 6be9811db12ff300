"""What the pages take from others: the bytes that were built, and their licences; nothing else is fetched."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.programs import missing, program

from fathom import catalog
from fathom.learn import web
from fathom.learn.web import files
from fathom.learn.web.gate import Turned

ROOT = catalog.ROOT.parents[1]
VENDOR = Path(web.__file__).parent / "vendor"
TOOLS = ROOT / "tools" / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text(encoding="utf-8"))
BUNDLES = ("katex.mjs", "uplot.mjs", "codemirror.mjs")
NAMES = ("http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML")  # of kinds of elements


def test_the_manifest_tells_every_file_byte_for_byte() -> None:
    """What was changed by hand, or built and not told, is found here; `make vendor` writes both."""
    there = {path.relative_to(VENDOR).as_posix(): path for path in VENDOR.rglob("*") if path.is_file()}
    assert set(there) == {*MANIFEST["files"], "manifest.json"}
    for name, told in MANIFEST["files"].items():
        content = there[name].read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (told["bytes"], told["sha256"]), name
    assert {*BUNDLES, "katex.css", "uplot.css"} <= set(there)


def locked() -> dict[str, Any]:
    packages = json.loads((TOOLS / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return {name.removeprefix("node_modules/"): told for name, told in packages.items() if name}


def test_versions_are_those_of_the_lock_and_exact() -> None:
    lock = locked()
    for name, told in MANIFEST["packages"].items():
        assert lock[name]["version"] == told["version"], f"{name}: run `make vendor`"
    asked = json.loads((TOOLS / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked.values()), asked
    assert set(asked) - {"esbuild"} <= set(MANIFEST["packages"]), "nothing is asked for in vain"


def test_the_lock_names_no_place_and_every_content() -> None:
    """Whoever builds takes the packages from where their npm does; what they are is held by a hash."""
    for name, told in locked().items():
        assert "resolved" not in told and told["integrity"].startswith("sha512-"), name


def test_every_package_and_the_fonts_bring_their_licence() -> None:
    parts = re.split(r"^=+\n(.+)\n=+\n", (VENDOR / "LICENCES.txt").read_text(encoding="utf-8"), flags=re.M)
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, told in MANIFEST["packages"].items():
        assert told["in"] and set(told["in"]) <= set(BUNDLES)
        licence = said.pop(f"{name} {told['version']} ({told['license']}), in {', '.join(told['in'])}")
        assert told["license"] == "MIT" and "Copyright" in licence, name
        assert "Permission is hereby granted, free of charge" in licence and "WARRANT" in licence, name
    fonts = said.pop("The fonts of KaTeX (OFL-1.1), in fonts/")
    assert "SIL OPEN FONT LICENSE Version 1.1" in fonts and "Reserved Font Names" in fonts and not said
    for font in VENDOR.glob("fonts/*"):
        assert font.stem.partition("-")[0] in fonts, f"{font.name} is not named there"


def test_nothing_in_them_is_fetched_from_elsewhere() -> None:
    for name in BUNDLES:
        text = (VENDOR / name).read_text(encoding="utf-8")
        for kind in NAMES:
            text = text.replace(kind, "")
        assert not re.search(r"https?://|\bimport\(|\bfetch\((?!\))|XMLHttpRequest|\beval\(", text), name
    fonts = set()
    for sheet in VENDOR.glob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert "@import" not in text and "http" not in text
        fonts |= set(re.findall(r"url\(([^)]*)\)", text))
    assert fonts == {f"fonts/{path.name}" for path in VENDOR.glob("fonts/*")}


@pytest.mark.parametrize(
    "name, kind",
    [("katex.mjs", "text/javascript; charset=utf-8"), ("katex.css", "text/css; charset=utf-8"),
     ("fonts/KaTeX_Main-Regular.woff2", "font/woff2"), ("LICENCES.txt", "text/plain; charset=utf-8")],
)  # fmt: skip
def test_they_are_served_as_what_they_are(name: str, kind: str) -> None:
    """The pages say `nosniff`: a browser takes no script and no font under another name."""
    answer = files.served(f"vendor/{name}")
    assert answer.headers["content-type"] == kind and "content-encoding" not in answer.headers
    assert bytes(answer.body) == (VENDOR / name).read_bytes()


def test_text_is_packed_for_those_who_take_it() -> None:
    for name in ("vendor/codemirror.mjs", "learn.js", "page.css"):
        plain, packed = files.served(name), files.served(name, "gzip, deflate, br")
        assert packed.headers["content-encoding"] == "gzip" and len(packed.body) < 0.6 * len(plain.body)
        assert gzip.decompress(bytes(packed.body)) == bytes(plain.body)
        assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    font = files.served("vendor/fonts/KaTeX_Main-Regular.woff2", "gzip")
    assert "content-encoding" not in font.headers  # it is packed in itself


@pytest.mark.parametrize(
    "name", ["vendor", "vendor/", "vendor/manifest.json", "vendor/../gate.py", "fonts/x"]
)
def test_nothing_else_is_served(name: str) -> None:
    with pytest.raises(Turned, match="no such file"):
        files.served(name)


@pytest.mark.slow
def test_built_again_they_are_the_same(tmp_path: Path) -> None:
    """Needs Node and, for the packages, a network; what is missing is said."""
    npm, node = program("npm"), program("node")
    shutil.copytree(TOOLS, tmp_path / "tools", ignore=shutil.ignore_patterns("node_modules"))
    found = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, found[1:].split(".")[:2])) < (20, 12):
        missing(f"Node {found.strip()} is older than 20.12")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    done = subprocess.run(command, cwd=tmp_path / "tools", capture_output=True, text=True, check=False)
    if done.returncode:
        assert "EINTEGRITY" not in done.stderr and "in sync" not in done.stderr, done.stderr
        pytest.skip(f"the packages cannot be had: {done.stderr.strip().splitlines()[0]}")
    subprocess.run([node, "build.mjs", str(tmp_path / "made")], cwd=tmp_path / "tools", check=True)
    made = {path.relative_to(tmp_path / "made"): path for path in (tmp_path / "made").rglob("*.*")}
    assert set(made) == {path.relative_to(VENDOR) for path in VENDOR.rglob("*.*")}
    for name, path in made.items():
        assert path.read_bytes() == (VENDOR / name).read_bytes(), f"{name}: run `make vendor` and commit it"
