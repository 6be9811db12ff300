"""A served model with a temperature: every door answers with it, and says so."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fathom.deployment import temperature
from fathom.deployment.artifact import Artifact, describe, open_artifact

RAMP = np.linspace(0, 255, 256).reshape(16, 16).astype(int)
WARMTH = 1.75
NAMED = "0123456789ab-t1.75"


@pytest.fixture(params=["torch", pytest.param("onnx", marks=pytest.mark.slow)])
def served(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Artifact:
    """The LeNet of this folder, with a temperature."""
    if request.param == "onnx":
        request.getfixturevalue("twin")  # makes its model.onnx
    place = Path(shutil.copytree(folder, tmp_path / "artifact"))
    found = temperature.Temperature(value=WARMTH, digest=describe(place)["digest"])
    temperature.write(place, found, {})
    return open_artifact(place, request.param)


def warmed(shares: Any) -> Any:
    powers = np.asarray(shares, dtype=np.float64) ** (1 / WARMTH)
    return powers / powers.sum(axis=-1, keepdims=True)


def test_predict_and_infer_answer_with_it(
    served: Artifact, lenet: Artifact, serve: Callable[..., Any]
) -> None:
    client = serve(served)
    plain = lenet.predict([RAMP.tolist()])[0]
    answer = client.post(RAMP.tolist()).json()
    assert answer["label"] == plain["label"] and answer["model"] == f"lenet/{NAMED}"
    expected = warmed(list(plain["probabilities"].values()))
    assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-4)
    assert max(answer["probabilities"].values()) < max(plain["probabilities"].values()) - 1e-3
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 16, 16], "data": RAMP.tolist()}
    reply = client.post({"inputs": [tensor]}, f"/v2/models/lenet/versions/{NAMED}/infer").json()
    assert reply["model_version"] == NAMED
    assert reply["outputs"][0]["data"] == pytest.approx(list(answer["probabilities"].values()), abs=1e-6)
    assert math.fsum(reply["outputs"][0]["data"]) == pytest.approx(1, abs=1e-6)


def test_it_says_so(served: Artifact, lenet: Artifact, serve: Callable[..., Any]) -> None:
    client, plain = serve(served), serve(lenet)
    told = client("GET", "/v2/models/lenet").json()
    assert told["versions"] == [NAMED] and told["parameters"] == {"temperature": WARMTH}
    assert "parameters" not in plain("GET", "/v2/models/lenet").json()
    assert client("GET", "/about").json()["temperature"] == WARMTH
    assert plain("GET", "/about").json()["temperature"] is None
    assert f'version="{NAMED}"' in client("GET", "/metrics").body.decode()
