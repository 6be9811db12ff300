"""Published weights: what is the same in every table of one upstream, said once."""

from collections.abc import Mapping
from typing import Any


def torchvision_weights(files: Mapping[str, Mapping[str, tuple[Any, ...]]], **more: Any) -> dict[str, Any]:
    """A system's ``WEIGHTS`` of files that torchvision publishes, from what is not the same for all.

    ``files`` holds, for each size and name, the file, its mebibytes, the published shares of ImageNet's
    validation pictures, in per cent, whose class is the first guess and among the first five, and, where they
    are not 256, 224 and bilinear, the sides to which pictures are resized and cropped, and how. A file's name
    ends in the first 8 digits of its SHA-256, which is all that torchvision tells of it. The fields are those
    of `fathom.training.weight_files`; ``more`` are further ones.
    """
    return {
        size: {name: _torchvision_file(*facts) | more for name, facts in named.items()}
        for size, named in files.items()
    }


def _torchvision_file(
    file: str,
    mebibytes: float,
    first: float,
    five: float,
    resize: int = 256,
    crop: int = 224,
    interpolation: str = "bilinear",
) -> dict[str, Any]:
    return {
        "upstream": "torchvision",
        "sha256": file.rpartition("-")[2],
        "mebibytes": mebibytes,
        "address": f"https://download.pytorch.org/models/{file}.pth",
        "licence": "BSD-3-Clause; terms of ImageNet may apply",
        "accuracy": {"top-1": first, "top-5": five},
        "preprocessing": {
            "resize": resize,
            "crop": crop,
            "interpolation": interpolation,
            "mean": (0.485, 0.456, 0.406),
            "deviation": (0.229, 0.224, 0.225),
        },
    }
