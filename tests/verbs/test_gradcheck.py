"""The check of gradients, on functions of one's own and on the primitives of the catalogue."""

import json
import math
import re
from typing import Any

import pytest
import torch

from fathom import catalog
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.verbs.gradcheck import gradcheck
from fathom.verbs.train import load_function

OWN = "tests.verbs.own_functions"


def own(name: str) -> Any:
    return load_function(f"{OWN}:{name}")


def test_a_right_function_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "gradient", f"{OWN}:energy", "--shape", "3,4", "--shape", "4,2"]) == 0
    shown = capsys.readouterr().out
    assert "1 x 20 slopes" in shown and shown.endswith("passed\n")
    error = float(re.findall(r"relative error +(\S+)", shown)[0])
    assert error < 1e-8
    assert re.search(r"worst +\S+:energy: output by input [01] at \[\d, \d\]", shown)


def test_a_wrong_entry_is_named_with_both_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "gradient", f"{OWN}:square", "--shape", "2,3", "--seed", "5"]) == 1
    shown = capsys.readouterr().out
    x = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    assert "output at [1, 2] by input 0 at [1, 2]" in shown and "failed" in shown
    values = [float(v) for v in re.findall(r"(?:analytic|differences) +(\S+)", shown)]
    assert values == pytest.approx([float(x[1, 2]), 2 * float(x[1, 2])], rel=1e-6)
    (check,) = gradcheck(own("square"), inputs=[x])["checks"]
    size = max(1.0, abs(2 * float(x[1, 2])))
    assert check["error"] == pytest.approx(abs(float(x[1, 2])) / size, rel=1e-6)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "gradient", f"{OWN}:square", "--shape", "2,3", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False and told["checks"][0]["outputs"] == told["checks"][0]["entries"] == 6
    assert main(["explain", "gradient", f"{OWN}:exploding", "--shape", "2", "--json"]) == 1
    (check,) = json.loads(capsys.readouterr().out)["checks"]
    assert check["error"] == "inf"


def test_a_gradient_that_is_cut_off_fails() -> None:
    found = gradcheck(own("cut_off"), shapes=[(3,)])
    assert not found["passed"]
    assert found["checks"][0]["analytic"] == 0 and abs(found["checks"][0]["numeric"]) > 0.1


def test_several_outputs_and_one_number() -> None:
    (check,) = gradcheck(own("two_outputs"), shapes=[(4,)])["checks"]
    assert check["passed"] and check["outputs"] == 5
    (check,) = gradcheck(own("two_outputs"), inputs=[torch.tensor(2.0).double()])["checks"]
    assert check["passed"] and check["outputs"] == 2


def test_random_functions_draw_the_same_and_the_generator_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert gradcheck(own("noisy"), shapes=[(6,)])["passed"]
    assert torch.equal(torch.get_rng_state(), before)


def test_many_slopes_are_checked_in_a_sum(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = own("square")
    for function, passed in ((torch.sin, True), (wrong, False)):
        found = gradcheck(function, shapes=[(9, 20)])
        assert found["passed"] is passed and found["checks"][0]["summed"]
    assert found["checks"][0]["input"] == "input 0 at [1, 2]"
    assert "weighted sum" in found["checks"][0]["output"]


@pytest.mark.slow
def test_primitives_bring_their_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "gradient", "swish"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(" ok\n") == 2 and "silu" in shown
    assert main(["explain", "gradient", "tanh", "--tolerance", "1e-16"]) == 1
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.slow
def test_one_primitive_of_every_folder_passes() -> None:
    """The twins' own tests check all of them, with torch's gradcheck."""
    found = catalog.primitives()
    some = ("softmax", "focal", "highway", "layer_norm", "class_balance")
    assert len({found[name].path.parent for name in some}) == len(some)
    for name in some:
        checks = gradcheck(name)["checks"]
        assert checks and all(c["passed"] and c["error"] < 1e-6 for c in checks), name


def test_what_cannot_be_checked_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--shape", "2"]
    cases: list[tuple[list[str], str]] = [
        (["gelo"], "there is no primitive 'gelo'; did you mean 'gelu'"),
        (["lenet"], "there is no primitive 'lenet'"),
        (["adam"], "adam compares values only"),
        (["gelu", *given], "gelu brings its own inputs"),
        (["nowhere:function", *given], "there is no function 'nowhere:function': No module named 'nowhere'"),
        ([f"{OWN}:missing", *given], "there is no function"),
        ([f"{OWN}:NOT_A_FUNCTION", *given], "is a int; name a function of tensors"),
        ([f"{OWN}:energy"], "give the shape of each argument of tests.verbs.own_functions:energy"),
        ([f"{OWN}:energy", *given], "does not take inputs of shape (2,): TypeError"),
        ([f"{OWN}:energy", *given, "--shape", "3"], "does not take inputs of shape (2,), (3,): "),
        ([f"{OWN}:changing", *given], "gives other values when it is asked again"),
        ([f"{OWN}:rounded", *given], "returned torch.float32 for float64 inputs"),
        ([f"{OWN}:places", *given], "returned no floating-point tensor"),
        ([f"{OWN}:square", "--shape", "2,x"], "--shape 2,x: write the sides as whole numbers"),
        ([f"{OWN}:square", "--shape", "2,0"], "shape (2, 0): every side must be 1 or more"),
        ([f"{OWN}:square", "--shape", "200,200"], "more than 20,000 entries"),
        (["gelu", "--tolerance", "0"], "tolerance is 0.0; it must be positive"),
    ]
    for command, said in cases:
        assert main(["explain", "gradient", *command]) == 2, command
        shown = capsys.readouterr()
        assert said in shown.err and not shown.out, command
    with pytest.raises(InputError, match="has no float64 tensor among its inputs"):
        gradcheck(torch.sin, inputs=[torch.ones(3)])
    with pytest.raises(InputError, match="give the shape of each argument of sin"):
        gradcheck(torch.sin)
    with pytest.raises(InputError, match="tolerance is inf"):
        gradcheck("gelu", tolerance=math.inf)
