"""Weight maps: names there and here, numbers that are shifted, and tables that contradict themselves."""

import pytest

from fathom.training.weight_map import inverse, translate

TABLE = {"layer{i}.{j}.conv": "stage_{i+1}.{j}.convolution", "fc": "head", "cls_token": "token"}


def test_there_and_back() -> None:
    names = ["layer0.12.conv.weight", "layer3.0.conv.bias", "fc.weight", "cls_token"]
    there = translate(names, TABLE)
    assert list(there.values()) == [
        "stage_1.12.convolution.weight", "stage_4.0.convolution.bias", "head.weight", "token",
    ]  # fmt: skip
    assert list(translate(there.values(), inverse(TABLE)).values()) == names


def test_what_no_pattern_knows_is_absent() -> None:
    names = ["layer1.0.conv1.weight", "layerx.0.conv.weight", "fc", "head.fc.weight", "xfc.weight"]
    assert translate(names, TABLE) == {"fc": "head"}  # a whole name, should a tensor be called so
    assert translate(["stage_0.0.convolution.weight"], inverse(TABLE)) == {}  # there is no layer -1


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="lead to head"):
        inverse({"fc": "head", "classifier": "head"})
    with pytest.raises(ValueError, match="disagree about a1"):
        translate(["a1.weight"], {"a{i}": "b{i}", "a1": "c"})
    with pytest.raises(ValueError, match="would both be called head"):
        translate(["fc.weight", "head.weight"], {"fc": "head", "head": "head"})
