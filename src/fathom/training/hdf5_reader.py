"""The arrays of a file that Keras wrote, as safetensors: a program that the confined reader runs on its own.

Three kinds are read: ``.weights.h5``, ``.keras`` (a zip archive with such a file in it) and the whole models
and weights in HDF5 of before Keras 3. Of all of them only numbers are taken: the description of the model,
which can name code, is not opened. HDF5 can also point into other files, hold links that go in circles, and
unpack to any size, so what is not a plain array of this very file is refused, and sizes are added up first.

It imports nothing of Fathom and is started with two paths, of the file and of what to write.
"""

import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LARGEST = 20 * 2**30  # bytes of all arrays together
MOST = 100_000  # arrays and groups
DEEPEST = 20  # groups in groups
INSIDE = "model.weights.h5"  # of a .keras archive
VARIABLES = {
    "dense": ("kernel", "bias"),
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}  # of a layer, in the order in which Keras 3 numbers them
KIND = re.compile(r"_\d+$")  # what tells one layer of a kind from the next


def main(source: str, target: str) -> None:
    """Write the arrays of ``source`` to ``target`` and print what was found, as JSON."""
    import h5py
    from safetensors.numpy import save_file

    file = Path(source)
    if zipfile.is_zipfile(file):
        file = unpacked(file, Path(target).with_suffix(".h5"))
    with h5py.File(file, "r") as opened:
        found = dict(arrays(opened))
        checked(found)
        kept = {name: array[()] for name, array in found.items() if array.dtype.kind == "f"}
    save_file(kept, target)
    numbers = sum(int(array.size) for array in kept.values())
    left = [name for name in found if name not in kept]
    print(json.dumps({"tensors": len(kept), "left": left, "beside": [], "numbers": numbers}))


def unpacked(archive: Path, file: Path) -> Path:
    """The weights in a .keras archive, copied out; more bytes than the archive tells of are not written."""
    with zipfile.ZipFile(archive) as opened:
        if INSIDE not in opened.namelist():
            raise ValueError(f"this archive holds no {INSIDE}")
        if opened.getinfo(INSIDE).file_size > LARGEST:
            raise ValueError(f"{INSIDE} unpacks to {opened.getinfo(INSIDE).file_size:,} bytes")
        with opened.open(INSIDE) as packed, file.open("wb") as out:
            while part := packed.read(2**20):
                out.write(part)
    return file


def arrays(opened: Any) -> Iterator[tuple[str, Any]]:
    """(layer.variable, array) of every array in the file."""
    root = opened["model_weights"] if "model_weights" in opened else opened
    if "layer_names" in root.attrs:
        yield from before_keras_3(root)
    else:
        yield from of_keras_3(root)


def before_keras_3(root: Any) -> Iterator[tuple[str, Any]]:
    """Groups by layer, each with a list of its variables: "conv1_conv/conv1_conv/kernel:0"."""
    for layer, _, array in walked(root):
        parts = layer.split("/")
        yield f"{parts[0]}.{parts[-1].partition(':')[0]}", array


def of_keras_3(root: Any) -> Iterator[tuple[str, Any]]:
    """Groups by the kind of layer, numbered, "conv2d_3", whose variables are numbered too.

    The name that the layer bore stands beside its variables. Of layers of other kinds the numbers stay.
    """
    for path, group, array in walked(root):
        *above, number = path.split("/")
        kind = above[-2] if len(above) > 1 else ""
        known = VARIABLES.get(KIND.sub("", kind), ())
        if kind.startswith("batch_normalization") and len(group) < len(known):
            known = ()  # without a scale or a shift, the numbers mean other variables
        word = known[int(number)] if number.isdigit() and int(number) < len(known) else number
        outer = [part for part in above[:-2] if part != "layers"]
        yield ".".join([*outer, str(group.attrs.get("name", kind)) or kind, word]), array


def walked(root: Any) -> Iterator[tuple[str, Any, Any]]:
    """(path, the group that holds it, array), for plain arrays in groups that are part of this file."""
    import h5py

    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    seen = 0
    while waiting:
        path, group, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"groups lie deeper than {DEEPEST} in each other")
        for name in group:
            seen += 1
            if seen > MOST:
                raise ValueError(f"the file holds more than {MOST:,} arrays and groups")
            here = f"{path}/{name}".lstrip("/")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{here} is a link to somewhere else")
            found = group[name]
            if isinstance(found, h5py.Group):
                waiting.append((here, found, depth + 1))
            elif isinstance(found, h5py.Dataset):
                yield here, group, found
            else:
                raise ValueError(f"{here} is neither an array nor a group")


def checked(found: dict[str, Any]) -> None:
    """Refuse arrays that lie elsewhere, are packed by unknown means, or are too large together."""
    for name, array in found.items():
        if array.is_virtual or array.external:
            raise ValueError(f"{name} lies in another file")
        if array.compression not in (None, "gzip"):
            raise ValueError(f"{name} is packed by {array.compression}; gzip alone is read")
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name} holds {array.dtype}, not numbers")
    size = sum(array.size * array.dtype.itemsize for array in found.values())
    if size > LARGEST:
        raise ValueError(f"the arrays have {size:,} bytes; at most {LARGEST:,} are read")


def refuse(event: str, given: Any) -> None:
    """What a reader of numbers has no use for."""
    banned = ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile")
    if event.split(".")[0] in ("socket", "subprocess") or event in banned:
        raise PermissionError(event)


if __name__ == "__main__":
    sys.addaudithook(refuse)
    main(sys.argv[1], sys.argv[2])
