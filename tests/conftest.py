"""Every test starts from the same dice, on one thread, with a home of its own."""

import os
from pathlib import Path

import pytest
import torch

NEIGHBOUR = Path(__file__).parents[2] / "shared" / "data"
if "FATHOM_DATA" not in os.environ and NEIGHBOUR.is_dir():
    os.environ["FATHOM_DATA"] = str(NEIGHBOUR)


@pytest.fixture(autouse=True)
def deterministic() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
