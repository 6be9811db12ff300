"""Quotes of the library: found by syntax tree, and noticed when they change."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fathom.cli.command import main
from fathom.errors import InputError
from fathom.learn.engine import curriculum, source
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


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The curriculum as a copy, which a test may spoil."""
    topics = shutil.copytree(curriculum.TOPICS, tmp_path / "topics")
    caches = (curriculum.heads, curriculum.topic)
    monkeypatch.setattr(curriculum, "TOPICS", topics)
    for cache in caches:
        cache.cache_clear()
    yield topics
    for cache in caches:
        cache.cache_clear()


def test_bless_is_a_command(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What changed is named and vouched for, and nothing else is; a page whose note lost its line is not."""
    slug, others = "gradient-descent", "fathom.fundamentals.networks.gradient_descent:_epochs"
    file = copied / slug / source.BLESSED
    sound = file.read_text(encoding="utf-8")
    assert others in sound
    file.write_text("".join(line for line in sound.splitlines(True) if others not in line), encoding="utf-8")
    assert main(["learn", "--bless", slug]) == 0
    assert capsys.readouterr().out == f"vouched for {others}\n"
    assert file.read_text(encoding="utf-8") == sound
    assert main(["learn", "--bless", slug]) == 0
    assert capsys.readouterr().out == f"{slug} quotes nothing that changed\n"
    page = copied / slug / "topic.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace(":::source fathom", ":::source fathom.gone", 1), encoding="utf-8")
    curriculum.topic.cache_clear()
    assert main(["learn", "--bless", slug]) == 2
    assert "there is no file" in capsys.readouterr().err and file.read_text(encoding="utf-8") == sound


@pytest.mark.parametrize(("slug", "said"), [("gradient-desent", "gradient-descent"), ("cnn", "no page yet")])
def test_what_cannot_be_blessed_is_told(slug: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "--bless", slug]) == 2
    assert said in capsys.readouterr().err
