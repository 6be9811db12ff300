"""Write its card, and let it be served.

A model card tells a stranger in a minute what a model is for, how good it is, and where it fails. You get a
dictionary of facts that were measured. Return the card as text, with these headings, each on a line of its
own and with something below it:

- `## What it is for`
- `## Data`: how many pictures it learned from, how many it was chosen by, and how many it was tested with
- `## Result`: the share of right answers, both ends of its interval, and the share of the baseline, all in
  percent with one digit after the point
- `## Where it fails`: each pair of digits that was confused, and how often
- `## Not for`: what nobody should use it for

The facts: `accuracy`, `interval` (a list of two) and `baseline`, from 0 to 1; `learn`, `judge`, `test`, the
three numbers of pictures; `weights`, `seconds`; and `confused`, a list of [true digit, said digit, times].

When the card is written, run `python project.py` in your folder. Then check this milestone again: it looks at
the model that your program made.
"""

import json
import re

import torch

from fathom.data.sets import mnist
from fathom.deployment.artifact import describe, onnx_network, restore
from fathom.errors import InputError
from fathom.learn.engine.grade import Answer, Fail, other
from fathom.learn.engine.project import PROGRAM, here
from fathom.tasks.image_classification import ImageClassification

HINTS = (
    "f\"{facts['accuracy']:.1%}\" writes 0.9871 as 98.7%.",
    "for true, said, times in facts['confused'] goes through the pairs.",
    "Not for: think of who could be harmed by a wrong digit, and of writing that is not in MNIST.",
)
PASSED = "Your model is ready: fathom serve model."
HEADINGS = ("What it is for", "Data", "Result", "Where it fails", "Not for")


def starter(facts: dict) -> str:
    """facts: what was measured. Return the card as text."""
    raise NotImplementedError


def solution(facts: dict) -> str:
    """facts: what was measured. Return the card as text."""
    low, high = facts["interval"]
    pairs = "\n".join(f"- {true} taken for {said}: {times} times" for true, said, times in facts["confused"])
    return f"""# Handwritten digits

## What it is for

It reads one digit, written by hand, from a picture. It was made to learn how such a thing is made.

## Data

MNIST: digits of some hundreds of writers in the United States. It learned from {facts["learn"]:,}
pictures, was chosen on {facts["judge"]:,}, and was judged once on {facts["test"]:,} others.

## Result

{facts["accuracy"]:.1%} of the test digits are right.
Other digits of this kind would most likely give between {low:.1%} and {high:.1%}.
The nearest mean picture gets {facts["baseline"]:.1%}.
It has {facts["weights"]:,} weights, and was trained for {facts["seconds"]:.0f} seconds.

## Where it fails

{pairs}

## Not for

Anything where a wrong digit does harm: cheques, doses, addresses. It answers with a digit whatever it is
shown, a letter too. Digits as they are written elsewhere, such as a 1 with a long upstroke or a crossed 7,
are rare in its data.
"""


def wrong_typed_numbers(facts: dict) -> str:
    """The numbers of your card are typed in. The next training has others: take all of them from facts."""
    return solution(
        {
            "accuracy": 0.9713, "interval": [0.9681, 0.9744], "baseline": 0.8111, "learn": 49_999,
            "judge": 10_001, "test": 9_999, "weights": 1, "seconds": 1, "confused": [[4, 9, 1]],
        }
    )  # fmt: skip


def wrong_no_baseline(facts: dict) -> str:
    """Your card does not say what the baseline reaches. Without it nobody can tell whether 95 % is much."""
    return re.sub(r"The nearest mean .*\n", "", solution(facts))


def wrong_no_interval(facts: dict) -> str:
    """Your card gives one number as if it were certain. Another ten thousand digits would give another.

    Write both ends of the interval beside it.
    """
    return re.sub(r"Other digits .*\n", "", solution(facts))


def wrong_rounded(facts: dict) -> str:
    """You rounded to whole percents. Good models differ behind the point: write one digit after it."""
    return re.sub(r"(\d+)\.\d%", r"\1%", solution(facts))


def wrong_no_failures(facts: dict) -> str:
    """Your card does not say which digits it confuses. That is what a reader needs most."""
    return re.sub(r"- \d taken for .*\n", "- it fails rarely\n", solution(facts))


def wrong_no_warning(facts: dict) -> str:
    """Your card does not say what the model is not for. Add that part, with something in it."""
    return solution(facts).partition("## Not for")[0]


def case(seed: int) -> tuple[dict]:
    """Facts of a run that never was."""
    dice = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=dice))

    right = number(9_600, 9_930) / 10_000 + 0.0004
    facts = {
        "accuracy": right, "interval": [right - 0.0031, right + 0.0032],
        "baseline": number(7_900, 8_300) / 10_000 + 0.0004, "learn": number(40_000, 49_000),
        "judge": number(8_000, 9_900), "test": number(7_000, 9_900), "weights": number(20_000, 190_000),
        "seconds": number(11, 110) + 0.25,
        "confused": [[t, (t + number(1, 9)) % 10, number(11, 60)] for t in range(number(3, 6))],
    }  # fmt: skip
    return (facts,)


def card_of(answer: Answer, facts: dict) -> str:
    text = answer(facts)
    if not isinstance(text, str):
        raise Fail(f"A card is a text; yours is of type {type(text).__name__}.")
    return text


def parts(text: str) -> dict[str, str]:
    """What stands below each heading."""
    pieces = re.split(r"^##[ \t]+(.+?)[ \t]*$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def plain(text: str) -> str:
    """Numbers without commas, and percents without a space."""
    return re.sub(r"\s+%", "%", re.sub(r"(?<=\d),(?=\d)", "", text))


def missing(answer: Answer, facts: dict) -> dict[str, str]:
    """What a card lacks: a name for it, and a sentence."""
    found = {name: plain(text) for name, text in parts(card_of(answer, facts)).items()}
    lacking = {
        name: f"There is nothing below ## {name}." for name in HEADINGS if not found.get(name, "").strip()
    }
    low, high = facts["interval"]
    wanted = {
        "accuracy": ("Result", [f"{facts['accuracy']:.1%}"]),
        "interval": ("Result", [f"{low:.1%}", f"{high:.1%}"]),
        "baseline": ("Result", [f"{facts['baseline']:.1%}"]),
        "counts": ("Data", [str(facts[name]) for name in ("learn", "judge", "test")]),
    }
    for name, (part, texts) in wanted.items():
        absent = [
            text for text in texts if not re.search(rf"(?<![\d.]){re.escape(text)}", found.get(part, ""))
        ]
        if absent and part not in lacking:
            lacking[name] = f"## {part} should have {' and '.join(absent)}."
    for true, said, times in facts["confused"]:
        line = rf"(?m)^(?=.*\b{true}\b)(?=.*\b{said}\b).*\b{times}\b"
        if "Where it fails" not in lacking and not re.search(line, found["Where it fails"]):
            lacking["confused"] = (
                f"## Where it fails should say that {true} was taken for {said} {times} times."
            )
    return lacking


def observe(answer: Answer, seed: int) -> list[str]:
    return sorted(missing(answer, *case(seed)))


def check_card(answer: Answer, seed: int) -> None:
    lacking = missing(answer, *case(seed))
    if lacking:
        raise Fail(next(iter(lacking.values())))


def check_program(answer: Answer, seed: int) -> None:
    """The program ran, with the card as it is now."""
    run = f"In the folder {here()} run: python {PROGRAM}"
    if not (here() / "facts.json").is_file() or not (here() / "model" / "artifact.json").is_file():
        raise Fail(f"The card is right. There is no model yet. {run}")
    facts = json.loads((here() / "facts.json").read_text(encoding="utf-8"))
    written = here() / "CARD.md"
    if not written.is_file() or written.read_text(encoding="utf-8").strip() != card_of(answer, facts).strip():
        raise Fail(f"The card is right, and CARD.md is another one. {run} again.")


def check_model(answer: Answer, seed: int) -> str:
    """The exported model answers as the network does, and well enough."""
    folder, digits = here() / "model", mnist.read()
    pictures = torch.from_numpy(digits.test_images[:2_000])[:, None]
    labels = torch.from_numpy(digits.test_labels[:2_000])
    try:
        task = restore(ImageClassification, describe(folder)["task"]["settings"])
        shares = torch.from_numpy(onnx_network(folder, task)({"image": pictures.numpy()})["probabilities"])
    except InputError as error:
        raise Fail(f"The model cannot be opened: {error}") from error
    right = float((shares.argmax(dim=1) == labels).float().mean())
    if right < 0.95:
        raise Fail(f"Of 2,000 test digits the exported model gets {right:.1%} right; 95 % are asked.")
    if not same_network(pictures[:100], shares[:100]):
        raise Fail(f"The model is of another network than your network.py. Run python {PROGRAM} again.")
    return f"Of 2,000 test digits the exported model gets {right:.1%} right."


def same_network(pictures: torch.Tensor, shares: torch.Tensor) -> bool:
    """Whether the learner's network, with the weights of the model, gives the model's probabilities."""
    from safetensors.torch import load_file

    network = other("network")()
    try:
        network.load_state_dict(load_file(here() / "model" / "weights.safetensors"))
    except RuntimeError:
        return False
    with torch.no_grad():
        scores = network.eval()(pictures.float() / 255)
    return torch.allclose(scores.softmax(dim=1), shares, atol=1e-3)
