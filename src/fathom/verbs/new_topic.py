"""New topic: its folder, from an entry of the map that is still to come; every part is there, and runs.

What is made says nothing worth reading yet, but it is a page in which each directive stands once, so that
whoever writes it replaces one thing at a time and stays green all the way. A project gets milestones in the
place of exercises, and the program that calls them.
"""

import difflib
import re
import tomllib
from collections.abc import Collection
from pathlib import Path

from fathom.errors import InputError, unknown

FEW, NEAREST = 10, 5  # names that are listed whole, and those that are shown of more
QUOTED = "fathom.fundamentals.activations.relu:relu_by_hand"

PAGE = """+++
{head}
[symbols]
"x" = "the number that goes in"
+++

Begin with a question that the reader has had before. Say in two sentences what this page answers.

## Try it first

Let the reader use the finished thing, before any part of it is explained.

```python
import torch
from fathom.fundamentals.activations.relu import relu

relu(torch.tensor([-1.0, 2.0]))  # -> tensor([0.0, 2.0])
```

## Predict

:::predict
What comes out for a negative number? Ask before the figure shows it.
- The same number | Say what to look at in the figure.
- 0 | And here as well: a guess is never just right or wrong.
:::

## Intuition

One idea a paragraph, in plain words. Then let the reader touch it.

:::figure first

## The maths

Explain every symbol where it is used first. Here $x$ is the number that goes in.

$$ \\max(0, x) $$

## The real code

:::source {quoted}
torch.where(x <= 0, torch.zeros_like(x), x) | say why this line is as it is
:::

## Exercises

:::exercise {first}

:::exercise {second}

## Quiz

:::quiz
What is the larger one of 0 and $-3$?
+ 0 | Say why.
- $-3$ | Say what the one who chose it may have thought.
:::

## On your data

One command of the library that does it with the reader's own data.

```sh
fathom explain gradient relu
```

## Pitfalls

Mistakes that no exercise can name.

## Further reading

- The paper, with its year. <https://arxiv.org/abs/1502.01852>
"""

PROJECT = """+++
{head}+++

Say in two sentences what will work at the end that does not work now.

## What you build

What is asked of it, in numbers, and the budget: steps, weights, seconds.

## The data

Where it comes from, who made it, what is missing in it, and its licence. Then let the reader look at it.

```python
import torch

torch.tensor([-1.0, 2.0]).sum()  # -> tensor(1.)
```

:::figure first

## Your folder

The answers are files of one folder, and this program calls them:

```python project.py
\"\"\"Say what it leaves behind: python project.py\"\"\"

import torch

from {first} import {first}
from {second} import {second}


def main():
    print({second}({first}(torch.tensor([-1.0, 2.0]))))


if __name__ == "__main__":
    main()
```

## Milestones

:::project {first}
Say why this comes first.
:::

:::project {second}
Say what it adds.
:::

## All together

```sh
python project.py
```

## Show it

One command with which somebody else can use it.

```sh
fathom explain gradient relu
```

## Quiz

:::quiz
What is the larger one of 0 and $-3$?
+ 0 | Say why.
- $-3$ | Say what the one who chose it may have thought.
:::

## Pitfalls

Mistakes that no milestone can name.

## Further reading

- The paper, with its year. <https://arxiv.org/abs/1502.01852>
"""

FIGURE = '''"""One figure: a curve, and a point on it that moves."""

from types import SimpleNamespace

import torch

from fathom.fundamentals.activations.relu import relu
from fathom.learn.engine.figure import figure, slider
from fathom.learn.engine.marks import Curve, Frame, Panel, Scatter, frame, number, points


@figure(x=slider(-2.0, 2.0, 1.0, "x"))
def first(c: SimpleNamespace) -> Frame:
    """Say here what the figure shows."""
    across = torch.linspace(-2, 2, 81)
    height = number(relu(torch.tensor(c.x)))
    panel = Panel(
        title="A title",
        marks=(
            Curve(name="curve", points=points(across, relu(across))),
            Scatter(name="here", points=((c.x, height),), tone=1),
        ),
        x="x",
        y="y",
    )
    return frame(panel, say=f"At x = {c.x:.2f} the value is {height:.2f}.")
'''

EXERCISE = '''"""{task}"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = ("Give away a little.", "Give away more.", "Give away nearly all.")
PASSED = "Say what was gained."


def starter(x: Tensor) -> Tensor:
    """For x of any shape return a tensor of that shape."""
    raise NotImplementedError


def solution(x: Tensor) -> Tensor:
    """For x of any shape return a tensor of that shape."""
    return {solution}


def wrong_unchanged(x: Tensor) -> Tensor:
    """You returned what went in. Say what to do about it."""
    return x.clone()


def wrong_{other}(x: Tensor) -> Tensor:
    """Say what was done instead, and what to do about it."""
    return {mistake}


def wrong_square(x: Tensor) -> Tensor:
    """You squared it. Say what to do about it."""
    return x * x


def case(seed: int) -> tuple[Tensor]:
    dice = torch.Generator().manual_seed(seed)
    return (torch.randn(4, 3, generator=dice, dtype=torch.float64),)


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (4, 3), "The result")


def check_values(answer: Answer, seed: int) -> None:
    (x,) = case(seed)
    if not same(answer(x.clone()), solution(x)):
        raise Fail("Say which number came out, and which one was wanted.")
'''
FIRST = {"task": "Double a number.", "solution": "2 * x", "other": "half", "mistake": "x / 2"}
SECOND = {
    "task": "Cut off what is negative.",
    "solution": "x.clamp(min=0)",
    "other": "size",
    "mistake": "x.abs()",
}


def new_topic(name: str, home: Path) -> list[Path]:
    """Write the folder of the topic ``name`` below the checkout ``home``, and take it off the list to come.

    Raises ``InputError`` for a name that is not on the list, or whose folder is there already.
    """
    topics = home / "src" / "fathom" / "learn" / "topics"
    coming, folder = topics / "coming.toml", topics / name
    if not coming.is_file():
        raise InputError(f"{home.resolve()} has no curriculum: there is no {coming.relative_to(home)}")
    if (folder / "topic.md").exists():
        raise InputError(f"{folder} exists already; choose a topic that is still to come")
    text = coming.read_text(encoding="utf-8")
    listed = tomllib.loads(text)
    if name not in listed:
        raise InputError(
            f"{nearest(name, listed)}. A topic that is on no map yet gets an entry in {coming} first"
        )
    found = re.search(rf"^\[{re.escape(name)}\]\n((?:.+\n)+)\n?", text, re.MULTILINE)
    assert found is not None
    files = {folder / place: filled for place, filled in contents(name, found[1]).items()}
    for file, filled in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(filled, encoding="utf-8")
    coming.write_text(text[: found.start()] + text[found.end() :], encoding="utf-8")
    return [*files, coming]


def nearest(name: str, listed: Collection[str]) -> str:
    """That there is no such topic, and which may be meant: of many the nearest, and how many there are."""
    if len(listed) <= FEW or difflib.get_close_matches(name, listed, n=1, cutoff=0.5):
        return str(unknown("topic that is to come", name, listed))
    near = difflib.get_close_matches(name, listed, n=NEAREST, cutoff=0.0)
    return f"there is no topic that is to come {name!r}; the nearest of {len(listed)}: {', '.join(near)}"


def contents(name: str, head: str) -> dict[str, str]:
    """The files of a topic, by their places in its folder; ``head`` is its entry of the list to come."""
    from fathom.learn.engine.source import BLESSED, quote

    stem = name.replace("-", "_")
    first, second = f"{stem}_first", f"{stem}_second"
    files = {
        "figure.py": FIGURE,
        f"exercises/{first}.py": EXERCISE.format(**FIRST),
        f"exercises/{second}.py": EXERCISE.format(**SECOND),
    }
    if tomllib.loads(head)["group"] == "Projects":
        return files | {"topic.md": PROJECT.format(head=head, first=first, second=second)}
    page = PAGE.format(head=head, quoted=QUOTED, first=first, second=second)
    return files | {BLESSED: f'"{QUOTED}" = "{quote(QUOTED).digest}"\n', "topic.md": page}
