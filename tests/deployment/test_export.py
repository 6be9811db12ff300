"""An exported network that differs from the trained one is not shipped."""

import json
from pathlib import Path
from typing import Any

import pytest

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.deployment import artifact
from fathom.verbs.train import train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("gap", "code"), [(5e-5, 0), (2e-4, 1), (float("nan"), 1)])
def test_a_difference_above_the_limit_is_refused(
    gap: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(lenet.tiny(), out=tmp_path / "run", export=False, settings=[("steps", "2")])
    plain = artifact.onnx_network

    def off(*given: Any) -> Any:
        network = plain(*given)
        return lambda arrays: {name: value + gap for name, value in network(arrays).items()}

    monkeypatch.setattr(artifact, "onnx_network", off)
    assert main(["export", str(run.folder)]) == code
    assert (run.model / "model.onnx").is_file() == (run.model / "equality.json").is_file() == (code == 0)
    if code:
        assert "differs from the trained one" in capsys.readouterr().err
    else:
        equality = json.loads((run.model / "equality.json").read_text())
        assert equality["equal"] and equality["largest"] == pytest.approx(gap, rel=0.2)
        assert {case["batch"] for case in equality["cases"]} == {1, 2, 7}
