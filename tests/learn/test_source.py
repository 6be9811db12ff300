"""Quotes of the library: found by syntax tree, and noticed when they change."""

import ast
from pathlib import Path

import pytest

from fathom.errors import InputError
from fathom.learn.engine import source
from fathom.learn.engine.parse import read_topic
from fathom.learn.engine.topic import Topic

HEAD = '+++\ntitle = "T"\nlevel = "beginner"\ngroup = "Vision"\ngoal = "g"\nminutes = 10\n+++\n'


def page(folder: Path, *quotes: str) -> Topic:
    place = folder / "a-topic"
    place.mkdir(exist_ok=True)
    (place / "topic.md").write_text(HEAD + "\n".join(f":::source {quote}\n:::" for quote in quotes))
    return read_topic(place)


def test_functions_methods_and_constants_are_found() -> None:
    method = source.quote("fathom.fundamentals.networks.dense:Dense.forward")
    assert method.text.startswith("def forward(self, x: Tensor)")
    assert method.place == "fundamentals/networks/dense.py"
    lines = method.path.read_text().splitlines()
    assert lines[method.first - 1].strip() == method.text.splitlines()[0]
    assert source.quote("fathom.fundamentals.networks.forward_trace:LAYERS").text.startswith("LAYERS:")
    decorated = source.quote("fathom.fundamentals.backward_by_hand:HandWritten.backward")
    assert decorated.text.startswith("@staticmethod")
    assert method.line_of("dense(x, self.weight") == 1


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("fathom.nowhere:f", "there is no file nowhere.py"),
        ("fathom.fundamentals.networks.dense:Dens", "there is no 'Dens' in it"),
        ("fathom.fundamentals.networks.dense:Dense.f", "there is no 'f' in it"),
    ],
)
def test_what_does_not_exist_is_told(reference: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        source.quote(reference)


def test_anchors_occur_once() -> None:
    code = source.quote("fathom.fundamentals.networks.dense:dense_forward")
    for anchor, count in (("rows", 3), ("nowhere", 0)):
        with pytest.raises(InputError, match=f"{anchor}' {count} times"):
            code.line_of(anchor)


def test_only_meaning_changes_the_digest() -> None:
    def digest(code: str) -> str:
        return source.digest(ast.parse(code).body[0])

    plain = digest("def f(x):\n    return x + 1")
    assert digest('def f(x):\n    """Words."""\n\n    return (x+1)  # why') == plain
    assert digest("def f(x):\n    return x + 2") != plain


def test_blessing_vouches_and_a_change_is_noticed(tmp_path: Path) -> None:
    reference = "fathom.fundamentals.networks.dense:dense_forward"
    made = page(tmp_path, reference)
    (complaint,) = source.complaints(made)
    assert reference in complaint and "fathom learn --bless a-topic" in complaint
    assert source.bless(made) == [reference]
    assert source.complaints(made) == [] and source.bless(made) == []
    file = tmp_path / "a-topic" / source.BLESSED
    file.write_text(file.read_text().replace('= "', '= "0'))
    assert "changed" in source.complaints(made)[0]
    assert source.bless(made) == [reference]
    without = page(tmp_path)
    assert "is not quoted" in source.complaints(without)[0]
    broken = page(tmp_path, "fathom.fundamentals.networks.dense:gone")
    with pytest.raises(InputError):
        source.bless(broken)
    assert "line 8" in source.complaints(broken)[0]
