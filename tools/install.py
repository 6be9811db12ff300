"""Make ``.venv`` and install Fathom with one set of extras into it: ``python tools/install.py demo``.

uv where it can be had, pip otherwise. On Linux the index serves torch with several gigabytes of CUDA
libraries; where a folder with a CPU build is offered (PIP_FIND_LINKS) that one is taken, and uv is asked to
choose the build that fits the machine (UV_TORCH_BACKEND=auto), with the plain index as last resort.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv"
SCRIPTS = HOME / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")


def main() -> int:
    extra = sys.argv[1]
    if sys.version_info < (3, 11):  # noqa: UP036 - an older Python is what this is about
        print(
            f"Fathom needs Python 3.11 or newer; this is {sys.version.split()[0]}."
            " Try: make PYTHON=python3.12 demo"
        )
        return 2
    if not PYTHON.exists() and not make_home():
        return 1
    what = ["-c", "constraints.txt", "-e", f".[{extra}]"]
    print(f"installing fathom-dl[{extra}] into .venv", flush=True)
    if not any(attempt(command, more) for command, more in ways(what)):
        print("the installation failed; the messages above say why")
        return 1
    (HOME / extra).touch()
    return 0


def make_home() -> bool:
    """``.venv`` with pip in it. Debian keeps the part that puts pip there in a package of its own."""
    print("making .venv", flush=True)
    try:
        venv.create(HOME, with_pip=True, symlinks=os.name != "nt")
        return True
    except subprocess.CalledProcessError:
        shutil.rmtree(HOME, ignore_errors=True)
    uv = shutil.which("uv")
    if uv and attempt([uv, "venv", "-q", "--seed", "--python", sys.executable, str(HOME)], {}):
        return True
    print("this Python cannot make environments; on Debian and Ubuntu: apt install python3-venv")
    return False


def ways(what: list[str]) -> list[tuple[list[str], dict[str, str]]]:
    """Commands to try in turn, each with the environment it needs."""
    found: list[tuple[list[str], dict[str, str]]] = []
    has_uv = attempt([str(PYTHON), "-m", "pip", "install", "-q", "uv>=0.5"], {})
    if has_uv:
        uv = [str(PYTHON), "-m", "uv", "pip", "install", "-q", "--python", str(PYTHON), *what]
        links = os.environ.get("UV_FIND_LINKS", os.environ.get("PIP_FIND_LINKS", ""))
        offered = {"UV_FIND_LINKS": links} if links else {}
        if not (links and any(Path(links).glob("torch-*.whl"))):
            found.append((uv, {**offered, "UV_TORCH_BACKEND": "auto"}))
        found.append((uv, offered))
    found.append(([str(PYTHON), "-m", "pip", "install", "-q", *what], {}))
    return found


def attempt(command: list[str], more: dict[str, str]) -> bool:
    return subprocess.run(command, cwd=ROOT, env=os.environ | more, check=False).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
