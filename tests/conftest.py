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

# The parity tests of systems and primitives are many, and each imports what it compares with. They run in
# `make test`, or by the name of their file; of all of them `make check` has the contract and the twins.
HERE = Path(__file__).parent
PARITY = (
    "adaptation", "applications", "architectures", "fundamentals", "generative", "multimodal",
    "reinforcement", "selfsupervised",
)  # fmt: skip


def shows_parity(file: Path) -> bool:
    near = file.relative_to(HERE).parts
    return near[0] in PARITY and near[-1].startswith("test_") and near[-1] != "test_twins.py"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where none of them is to run, they need not be imported to find that out."""
    unwanted = "not slow" in (config.getoption("markexpr") or "") and collection_path.is_relative_to(HERE)
    return True if unwanted and collection_path.is_file() and shows_parity(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and shows_parity(item.path):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def deterministic() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
