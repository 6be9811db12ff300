"""Checkpoints and artifacts of every released format load, and answer as they did."""

import json
from pathlib import Path

import pytest

from fathom.architectures.convolutional import lenet
from fathom.deployment.artifact import open_artifact
from fathom.training.checkpoint import digest, read
from fathom.training.run import Run
from fathom.training.state import scatter, unpack

RELEASES = sorted(p for p in Path(__file__).parent.iterdir() if (p / "expected.json").is_file())


def test_there_is_a_release() -> None:
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES, ids=lambda p: p.name)
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_artifact_answers_as_it_did(release: Path, backend: str) -> None:
    expected = json.loads((release / "expected.json").read_text())
    answers = open_artifact(release / "run", backend).predict(lenet.tiny().task.examples())
    for ours, then in zip(answers, expected["answers"], strict=True):
        assert ours["label"] == then["label"]
        assert ours["probabilities"] == pytest.approx(then["probabilities"], abs=1e-4)


@pytest.mark.parametrize("release", RELEASES, ids=lambda p: p.name)
def test_checkpoint_loads(release: Path) -> None:
    expected = json.loads((release / "expected.json").read_text())
    loaded = read(release / "run" / "checkpoints")
    assert loaded is not None and loaded.step == 10
    learner = lenet.tiny().learner()
    scatter(unpack(loaded), learner, {})
    weights = {f"{m}.{n}": t for m, net in learner.modules.items() for n, t in net.state_dict().items()}
    assert digest(weights) == expected["digest"] == Run(release / "run").digest
