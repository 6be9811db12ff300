"""Write ``api.txt``: the signatures of the public nouns and verbs. Run it after a change that is meant."""

import inspect
import re
from pathlib import Path

import fathom


def public() -> str:
    """One line for each public function, method and property."""
    lines: list[str] = []
    for name in sorted(fathom.__all__):
        thing = getattr(fathom, name)
        if inspect.isclass(thing):
            members = [
                f"{name}.{m}{inspect.signature(f) if inspect.isfunction(f) else ''}"
                for m, f in sorted(vars(thing).items())
                if not m.startswith("_") and (inspect.isfunction(f) or isinstance(f, property))
            ]
            lines += [f"class {name}", *members]
        else:
            lines.append(f"{name}{inspect.signature(thing)}")
    return re.sub(r"<function .*? at 0x[0-9a-f]+>", "<function>", "\n".join(lines)) + "\n"


if __name__ == "__main__":
    (Path(__file__).resolve().parents[1] / "api.txt").write_text(public(), encoding="utf-8")
