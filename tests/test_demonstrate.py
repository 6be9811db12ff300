"""The demonstration compares ours with the network that a file was made for, and stops where they differ."""

import importlib.util
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fathom.verbs.importing import import_file

pytestmark = pytest.mark.slow


def tool() -> Any:
    file = Path(__file__).parents[1] / "tools" / "demonstrate.py"
    spec = importlib.util.spec_from_file_location("demonstrate", file)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_original_network_and_ours_are_compared_on_a_picture(tmp_path: Path) -> None:
    demonstrate = tool()
    shipped = metadata.distribution(demonstrate.PACKAGE).locate_file(demonstrate.INSIDE)
    file = Path(shutil.copy(str(shipped), tmp_path))
    Image.effect_noise((80, 60), 90).save(tmp_path / "noise.png")
    import_file(file, tmp_path / "lite0.safetensors")

    told = demonstrate.Transcript(tmp_path)
    demonstrate.compare(told, "noise.png")
    shown = "\n".join(told.lines)
    apart = re.search(r"^the largest difference: (\S+)$", shown, re.MULTILINE)
    assert apart is not None and float(apart[1]) < 1e-4
    assert re.search(r"^the likeliest class: (\d+) of theirs, \1 of ours$", shown, re.MULTILINE)
    assert "```python\nimport numpy as np\n" in shown and "$ python compare.py\n" in shown
    assert str(tmp_path) not in shown

    with safe_open(tmp_path / "lite0.safetensors", "pt") as opened:
        facts = opened.metadata()  # they say how the network pads
    state = load_file(tmp_path / "lite0.safetensors")
    state["head.bias"][7] += 0.01
    save_file(state, tmp_path / "lite0.safetensors", facts)
    told = demonstrate.Transcript(tmp_path)
    with pytest.raises(SystemExit, match="the demonstration ends here"):
        demonstrate.compare(told, "noise.png")
    assert "the largest difference: 1.0e-02" in told.lines
    assert "the two networks do not answer the same" in told.lines
