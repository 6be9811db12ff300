"""``fathom import FILE``: tensors of a .pt or .pth file, as safetensors."""

import argparse
import json

HELP = "bring the tensors of a .pt or .pth file in, as safetensors"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a file written by torch.save, holding a state dict")
    parser.add_argument("--out", metavar="FILE", help="the .safetensors file (default: beside it)")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.importing import import_file

    found = import_file(args.file, args.out)
    print(
        json.dumps(found)
        if args.json
        else f"{found['out']}: {found['tensors']} tensors, {found['numbers']:,} numbers"
    )
    return 0
