"""Every test starts from the same dice, on one thread, with a home of its own."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

NEIGHBOUR = Path(__file__).parents[2] / "shared" / "data"
if "FATHOM_DATA" not in os.environ and NEIGHBOUR.is_dir():
    os.environ["FATHOM_DATA"] = str(NEIGHBOUR)

# The index serves torchvision with compiled operators that need CUDA. Beside a CPU build of torch they do not
# load, and its import fails where it registers stand-ins for two of them. Their declarations are enough for
# all that is pure Python in it, which is what tests compare with.
if torch.version.cuda is None and importlib.util.find_spec("torchvision"):
    DECLARED = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        DECLARED.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


@pytest.fixture(autouse=True)
def deterministic() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
