"""``fathom import FILE``: weights of another library, as safetensors under the names used here."""

import argparse
import json
from typing import Any

HELP = "bring weights of another library in: recognised, mapped, checked, as safetensors"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="weights: .pt and .pth of torch, .keras and .h5 of Keras, .safetensors")
    parser.add_argument("--as", dest="name", metavar="SIZE", help="what it must be, for example resnet50")
    parser.add_argument("--classes", type=int, metavar="N", help="how many classes it must have")
    parser.add_argument(
        "--check", action="store_true", help="compare every layer with the library's own model, if installed"
    )
    parser.add_argument("--out", metavar="FILE", help="the .safetensors file (default: beside it)")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.importing import import_file

    found = import_file(args.file, args.out, name=args.name, classes=args.classes, check=args.check)
    print(json.dumps(found) if args.json else told(found))
    return 0


def told(found: dict[str, Any]) -> str:
    """What became of the file, for people."""
    lines: list[str] = []
    if found["size"] is None:
        lines.append("no published size is known by these names: the tensors keep them")
    else:
        which = f", {found['weights']}" if found["weights"] else ""
        lines.append(
            f"{found['size']} ({found['system']}) by the names of {found['upstream']}{which}:"
            f" {found['classes']} classes, {found['channels']} channels"
        )
        lines += [f"  {rule}: {count} tensors" for rule, count in found["rules"].items()]
        lines += [found["check"]] if "check" in found else []
    for key, where in (("left", "among the tensors"), ("beside", "beside the tensors")):
        if found[key]:
            lines.append(f"not taken over, {where}: {', '.join(found[key][:20])}")
    lines.append(f"{found['out']}: {found['tensors']} tensors, {found['numbers']:,} numbers")
    return "\n".join(lines)
