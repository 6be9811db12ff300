"""Pages: what is read of them, and how mistakes are told."""

from pathlib import Path

import pytest

from fathom.learn.engine import topic as tree
from fathom.learn.engine.parse import PageError, read_topic

HEAD = """+++
title = "A topic"
level = "beginner"
group = "Vision"
goal = "do it"
minutes = 30
needs = ["other"]
rows = ["NF08"]
symbols = { "w" = "the weight" }
+++
"""
PAGE = """
A first paragraph,
in two lines.

Another.

## Try it first

```python
1 + 1  # -> 2
```

$$ x = 1 $$

$$
y = x
$$

:::figure walk

:::exercise one_step

:::source fathom.fundamentals.networks.dense:dense_forward
x.reshape(-1, x.shape[-1]) | rows
out, kept = linear(rows, weight, bias) | one product
:::

## Quiz

### One more

:::quiz
Which of
the two?
- this | no,
  not this
+ that | yes
:::

:::predict
What happens?
- a | look
- b | look again
:::

:::note Beware
Of *this*.
:::

:::project load
A brief.
:::
"""


def page(folder: Path, text: str, head: str = HEAD) -> tree.Topic:
    place = folder / "a-topic"
    place.mkdir(exist_ok=True)
    (place / "topic.md").write_text(head + text, encoding="utf-8")
    return read_topic(place)


def test_a_page_becomes_a_tree(tmp_path: Path) -> None:
    made = page(tmp_path, PAGE)
    assert made.head.slug == "a-topic" and made.head.needs == ("other",) and made.head.written
    kinds = [type(block).__name__ for block in made.blocks]
    assert kinds == [
        "Prose", "Heading", "Code", "Formula", "Formula", "FigureBlock", "ExerciseBlock", "SourceBlock",
        "Heading", "Heading", "Question", "Prediction", "Note", "Milestone",
    ]  # fmt: skip
    assert list(made.parts()) == ["", "Try it first", "Quiz"]
    lines = (tmp_path / "a-topic" / "topic.md").read_text().splitlines()
    for block in made.blocks:
        assert lines[block.line - 1].strip(), block  # a line that says something
    (prose,) = made.every(tree.Prose)
    assert prose.text == "A first paragraph,\nin two lines.\n\nAnother."
    assert [formula.tex for formula in made.every(tree.Formula)] == ["x = 1", "y = x"]
    (source,) = made.every(tree.SourceBlock)
    notes = [(margin.anchor, margin.text) for margin in source.margins]
    assert notes[0] == ("x.reshape(-1, x.shape[-1])", "rows") and notes[1][1] == "one product"
    (question,) = made.every(tree.Question)
    assert question.text == "Which of\nthe two?"
    assert [(o.text, o.why, o.right) for o in question.options] == [
        ("this", "no, not this", False), ("that", "yes", True),
    ]  # fmt: skip


MISTAKES = [
    ("# Big\n", "a heading is ##"),
    ("## Nonsense\n", "there is no part of a page 'Nonsense'"),
    ("## Quiz\n\n## Intuition\n", "the order is fixed"),
    ("```python\n1\n", "this fence does not end"),
    ("$$\nx\n", "this formula does not end"),
    ("$$ x\n", "a formula stands between"),
    (":::figure Big Name\n", "takes a name in lower case"),
    (":::figur walk\n", "did you mean 'figure'"),
    (":::source dense\n:::\n", "is no reference"),
    (":::source fathom.a:b\nno bar\n:::\n", "a margin is"),
    (":::quiz\nQ\n- a | b\n- c | d\n:::\n", "exactly one right option"),
    (":::quiz\nQ\n+ a | b\n- c\n:::\n", "has no explanation"),
    (":::quiz\nQ\n+ a | b\n:::\n", "two options or more"),
    (":::quiz\nQ\n+ a | b\nloose\n- c | d\n:::\n", "come only options"),
    (":::predict\nQ\n+ a | b\n- c | d\n:::\n", "is not graded"),
    (":::note\nx\n:::\n", "takes a title"),
    (":::project\nx\n:::\n", "takes the name of a milestone"),
    (":::quiz\nQ\n", ":::quiz does not end"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_mistakes_are_told_with_their_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"a-topic/topic\.md, line 1[1-4]: ") as caught:
        page(tmp_path, text)
    assert said in str(caught.value)


HEADS = [
    ("", "begins with its head"),
    ("+++\ntitle = \n+++\n", "is no TOML"),
    ("+++\ntitle = 'a'\n+++\n", "lacks level, group, goal, minutes"),
    (HEAD.replace("beginner", "expert"), "level is 'expert'; it must be one of beginner"),
    (HEAD.replace("Vision", "Seeing"), "group is 'Seeing'"),
    (HEAD.replace("minutes = 30", "minutes = true"), "minutes is True; it must be int"),
    (HEAD.replace("minutes = 30", "minutes = 3"), "minutes is 3; it must be in 5 to 1200"),
    (HEAD.replace("goal", "gaol"), "did you mean 'goal'"),
]


@pytest.mark.parametrize(("head", "said"), HEADS, ids=[said for _, said in HEADS])
def test_heads_are_checked(head: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PageError) as caught:
        page(tmp_path, "", head)
    assert said in str(caught.value)
