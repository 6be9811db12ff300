"""What is told of published sizes and their weights is what the files hold, and no torch is needed for it."""

import json
import subprocess
import sys
from collections.abc import Mapping

import pytest

from fathom import catalog
from fathom.cli.command import main
from fathom.verbs import recognising
from fathom.verbs.documents import models_table
from fathom.verbs.published_sizes import accuracies, sizes

Shown = pytest.CaptureFixture[str]


def test_tables_read_from_source_are_those_of_the_modules() -> None:
    with_weights: set[str] = set()
    for entry in catalog.systems().values():
        table = getattr(entry.load(), "WEIGHTS", {})
        for name, weights in table.items():
            assert sizes()[name].weights == weights and sizes()[name].system == entry.name
            with_weights.add(name)
    assert {name for name, size in sizes().items() if size.weights} == with_weights
    assert len(with_weights) > 30


def test_every_size_that_files_are_recognised_as_is_told() -> None:
    for name, entry in recognising.sizes().items():
        assert sizes()[name].system == entry.name
    named = {"llama3_8b": "llama", "transformer_big": "transformer", "minilm": "minilm"}
    assert {name: sizes()[name].system for name in named} == named
    assert all(size.summary for size in sizes().values())


def test_show_of_a_system_lists_sizes_and_weights(capsys: Shown) -> None:
    assert main(["show", "resnet"]) == 0
    told = capsys.readouterr().out
    assert "size      resnet18: 18 layers, 11.7 million parameters\n" in told
    assert (
        "weights   resnet50:IMAGENET1K_V2: top-1 80.858 %, top-5 95.434 % as published; resize 232, crop 224,"
        " bilinear; torchvision, 97.8 MiB, BSD-3-Clause; terms of ImageNet may apply\n" in told
    )
    assert main(["show", "alexnet"]) == 0  # its only size bears its name: all is told at once
    assert "fathom fit DATA --from alexnet:IMAGENET1K_V1" in capsys.readouterr().out


def test_show_of_a_size_finds_its_system(capsys: Shown) -> None:
    assert main(["show", "resnet50"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("resnet50 is a size of resnet; all of them: fathom show resnet\n")
    for part in (
        "mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225",
        "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        "SHA-256 begins with 11ad3fa6",
        'use       resnet.resnet50(weights="IMAGENET1K_V2")',
    ):
        assert part in told
    assert "resnet18" not in told
    assert main(["show", "llama3_8b"]) == 0 and "none are published here by name" in capsys.readouterr().out
    assert main(["show", "resnet50", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["size"]) == ("resnet", "resnet50")
    weights: Mapping[str, Mapping[str, object]] = found["sizes"]["resnet50"]["weights"]
    assert weights["IMAGENET1K_V1"]["accuracy"] == {"top-1": 76.13, "top-5": 92.862}
    assert main(["show", "resnet5"]) == 2 and "did you mean 'resnet50'" in capsys.readouterr().err


def test_telling_needs_no_torch() -> None:
    program = "import sys; from fathom.cli.command import main; main(['show', 'vgg16']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "vgg16:IMAGENET1K_V1" in done.stdout and "torch" not in done.stdout.splitlines()[-1].split()


def test_the_page_of_models_has_published_accuracies() -> None:
    row = next(line for line in models_table().splitlines() if line.startswith("| `resnet50` |"))
    assert "| `IMAGENET1K_V1` 76.13 / 92.862, `IMAGENET1K_V2` 80.858 / 95.434 |" in row
    assert accuracies(sizes()["vgg11"]) and accuracies(sizes()["efficientnet_lite1"]) == "-"
