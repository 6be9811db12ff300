"""Writing: how a text goes on, with a network that makes one step at a time.

Such a network takes a token and states, and gives scores of the next token and the states after it. What a
person may wish of a text stands here, and what is done about it: tokens are drawn by counted dice from
probabilities that were filtered (``fundamentals/decoding``), or, with several ``beams``, the likeliest text
is searched for and there are no dice. A trace says of each token what else there was to choose from.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.errors import RunError
from fathom.fundamentals.decoding.greedy_decoding import checked_logits, greedy
from fathom.fundamentals.decoding.token_sampling import Sampling
from fathom.fundamentals.recurrence.beam_search import beam_search
from fathom.task import Arrays, Network
from fathom.training.randomness import key

GREEDY = 1e-3  # a temperature below it takes the likeliest token
WISHES = (  # field, what it is where it is left out, least, greatest, kind
    ("length", 200, 1, 2_000, "int64"),  # tokens to write
    ("temperature", 0.8, 0, 10, "float64"),  # 0: always the likeliest
    ("top_k", 0, 0, math.inf, "int64"),  # among how many of the likeliest; 0: all
    ("top_p", 1.0, 1e-6, 1, "float64"),  # among the fewest that have this share of the probability together
    ("min_p", 0.0, 0, 1, "float64"),  # among those with this share of the likeliest one's probability
    ("repetition_penalty", 1.0, 0.1, 10, "float64"),  # of what stands in the text; 1: none
    ("beams", 1, 1, 32, "int64"),  # above 1: no dice, and so no temperature, top_k, top_p, min_p and seed
    ("trace", 0, 0, 32, "int64"),  # of how many of the likeliest to tell, at each token; 0: no trace
    ("seed", 0, 0, 2**53, "int64"),
)


def operations(vocabulary: int) -> list[dict[str, Any]]:
    """The preprocessing of all wishes but the prompt, for a model of so many tokens."""
    return [
        {
            "operation": "number", "input": name, "field": name, "default": default, "low": low,
            "high": min(high, vocabulary) if name == "top_k" else high, "dtype": kind,
        }
        for name, default, low, high, kind in WISHES
    ]  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """What is asked of one text."""

    length: int
    beams: int
    trace: int
    seed: int
    how: Sampling

    @classmethod
    def of(cls, item: Mapping[str, np.ndarray]) -> "Wish":
        """From a preprocessed item; an older artifact knows fewer wishes than there are now."""
        given: dict[str, Any] = {
            name: item[name].item() if name in item else default for name, default, *_ in WISHES
        }
        drawn = given["beams"] == 1
        how = Sampling(
            temperature=(given["temperature"] if given["temperature"] >= GREEDY else 0) if drawn else 1,
            top_k=given["top_k"] or None if drawn else None,
            nucleus=given["top_p"] if drawn and given["top_p"] < 1 else None,
            min_p=given["min_p"] or None if drawn else None,
            repetition_penalty=given["repetition_penalty"],
        )
        return cls(given["length"], given["beams"], given["trace"], given["seed"], how)


def filtered(logits: np.ndarray, written: Sequence[int], how: Sampling) -> Tensor:
    """``logits`` (v,) after a text as they are drawn from, (1, v). Raises ``RunError`` for no numbers."""
    seen = sorted(set(written)) if how.repetition_penalty != 1 else []
    tokens = torch.tensor([seen], dtype=torch.int64)
    try:
        return checked_logits(how.filtered(torch.from_numpy(logits)[None].double(), tokens))
    except ValueError as error:
        raise RunError(str(error)) from error


def choose(logits: np.ndarray, written: Sequence[int], how: Sampling, number: float) -> int:
    """The token at the fraction ``number`` of the probabilities laid end to end, or the likeliest."""
    left = filtered(logits, written, how)
    if how.temperature == 0:
        return int(greedy(left))
    ends = left[0].softmax(dim=0).cumsum(dim=0).numpy()
    return int(np.searchsorted(ends, number * ends[-1], side="right").clip(max=len(ends) - 1))


@dataclass(frozen=True)
class Writer:
    """A network behind ports token, states -> logits, next states; and the states before anything is read."""

    network: Network
    zeros: Callable[[int], Arrays]
    vocabulary: Sequence[str]

    def step(self, token: np.ndarray, states: Arrays) -> tuple[np.ndarray, Arrays]:
        """Logits (n, v) and states after one more ``token`` (n,)."""
        made = self.network({"token": token, **states})
        return made["logits"], {name: made[f"next_{name}"] for name in states}

    def write(self, prompts: Sequence[Sequence[int]], wishes: Sequence[Wish]) -> list[list[int]]:
        """Each prompt, of one token or more, with what comes after it."""
        alone = {i: self.search(prompts[i], wish) for i, wish in enumerate(wishes) if wish.beams > 1}
        drawn = [i for i in range(len(wishes)) if i not in alone]
        together = self.draw([prompts[i] for i in drawn], [wishes[i] for i in drawn])
        found = alone | dict(zip(drawn, together, strict=True))
        return [found[i] for i in range(len(wishes))]

    def draw(self, prompts: Sequence[Sequence[int]], wishes: Sequence[Wish]) -> list[list[int]]:
        """All texts in lock step; token k of each by the k-th number of a stream that its seed begins."""
        texts = [list(prompt) for prompt in prompts]
        goals = [len(text) + wish.length for text, wish in zip(texts, wishes, strict=True)]
        dice = [np.random.Generator(np.random.Philox(key=key("text", wish.seed))) for wish in wishes]
        numbers = [one.random(wish.length) for one, wish in zip(dice, wishes, strict=True)]
        states, place, writing = self.zeros(len(texts)), 0, list(range(len(texts)))
        while writing:
            logits, states = self.step(np.array([texts[i][place] for i in writing]), states)
            place += 1
            for row, i in enumerate(writing):
                if place >= len(prompts[i]):
                    number = float(numbers[i][place - len(prompts[i])])
                    texts[i].append(choose(logits[row], texts[i], wishes[i].how, number))
            unfinished = [row for row, i in enumerate(writing) if len(texts[i]) < goals[i]]
            if len(unfinished) < len(writing):  # not at every token: states may be megabytes
                states = {name: state[unfinished] for name, state in states.items()}
                writing = [writing[row] for row in unfinished]
        return texts

    def search(self, prompt: Sequence[int], wish: Wish) -> list[int]:
        """``prompt`` and the likeliest text after it that the beams of ``wish`` find."""
        states = self.zeros(1)
        for token in prompt[:-1]:
            _, states = self.step(np.array([token]), states)

        def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
            nonlocal states
            own = {name: state[parent.numpy()] for name, state in states.items()}
            logits, states = self.step(written[:, -1].numpy(), own)
            texts = [[*prompt[:-1], *text] for text in written.tolist()]
            left = [filtered(one, text, wish.how) for one, text in zip(logits, texts, strict=True)]
            return F.pad(torch.cat(left).log_softmax(dim=-1), (0, 1), value=-math.inf)  # no token is an end

        end = len(self.vocabulary)
        found = beam_search(score, start=prompt[-1], end=end, beams=wish.beams, longest=wish.length)
        return [*prompt, *found[0][0].tokens]

    def trace(self, text: Sequence[int], wish: Wish) -> list[dict[str, Any]]:
        """For each token that was written, and the ``wish.trace`` likeliest at its place, how likely it was.

        ``probability`` is what the model gave it, ``share`` what temperature, filters and penalty made of
        that. The text is read again, which gives the same numbers.
        """
        states, found = self.zeros(1), []
        for place in range(1, len(text)):
            logits, states = self.step(np.array([text[place - 1]]), states)
            if place < len(text) - wish.length:
                continue
            likely = torch.from_numpy(logits[0]).double().softmax(dim=0)
            left = filtered(logits[0], text[:place], wish.how)[0]
            share = F.one_hot(left.argmax(), len(left)) if wish.how.temperature == 0 else left.softmax(dim=0)

            best = likely.topk(min(wish.trace, len(likely))).indices.tolist()
            likeliest = [self.told(token, likely, share) for token in best]
            found.append({**self.told(text[place], likely, share), "likeliest": likeliest})
        return found

    def told(self, token: int, likely: Tensor, share: Tensor) -> dict[str, Any]:
        """One token of a trace."""
        given, drawn = float(likely[token]), float(share[token])
        return {"token": self.vocabulary[token], "probability": given, "share": drawn}
