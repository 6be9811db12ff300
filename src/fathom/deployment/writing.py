"""Writing: how a text goes on, with a network that makes one step at a time.

Such a network takes a token and states, and gives scores of the next token and the states after it; a model
that is at hand and has a cache of its own is asked through that. What a person may wish of a text stands
here, and what is done about it: tokens are drawn by counted dice from probabilities that were filtered
(``fundamentals/decoding``), or, with several ``beams``, the likeliest text is searched for and there are no
dice; nor are there any in contrastive search, which takes the likely token that repeats the text the least. A
trace says of each token what else there was to choose from.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.deployment.weight_layout import lay_for_writing, packed
from fathom.errors import InputError, RunError
from fathom.fundamentals.decoding.contrastive_search import contrastive_choice
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
    ("beams", 1, 1, 32, "int64"),  # above 1: no dice
    ("contrast", 0.0, 0, 1, "float64"),  # how much unlikeness to the text weighs; above 0: no dice
    ("trace", 0, 0, 32, "int64"),  # of how many of the likeliest to tell, at each token; 0: no trace
    ("seed", 0, 0, 2**53, "int64"),
)
CANDIDATES = 4  # of contrastive search, where no top_k says how many
TOP = "state_h"  # of what a recurrent network carries, that whose last layer its scores are made of
SAID, UNSAID = "temperature_said", -1
FREE = {name: default for name, default, *_ in WISHES}  # these ask for nothing
SEARCHES = {  # what leaves no room for which others, and why
    "beams": (("temperature", "top_k", "top_p", "min_p", "contrast"),
              "several beams look for the likeliest text and draw nothing"),
    "contrast": (("temperature", "top_p", "min_p"),
                 "contrastive search takes the best of top_k tokens and draws nothing"),
}  # fmt: skip


def operations(vocabulary: int) -> list[dict[str, Any]]:
    """The preprocessing of all wishes but the prompt, for a model of so many tokens.

    The temperature is read twice: only where it was not said may it be passed over.
    """
    numbers = [
        {
            "operation": "number", "input": name, "field": name, "default": default, "low": low,
            "high": min(high, vocabulary) if name == "top_k" else high, "dtype": kind,
        }
        for name, default, low, high, kind in WISHES
    ]  # fmt: skip
    (warmth,) = (o for o in numbers if o["field"] == "temperature")
    return [*numbers, {**warmth, "input": SAID, "default": UNSAID, "low": UNSAID}]


@dataclass(frozen=True)
class Wish:
    """What is asked of one text."""

    length: int
    beams: int
    contrast: float
    candidates: int  # of contrastive search
    trace: int
    seed: int
    how: Sampling

    @classmethod
    def of(cls, item: Mapping[str, np.ndarray]) -> "Wish":
        """From a preprocessed item; an older artifact knows fewer wishes than there are now.

        Raises ``InputError`` for wishes of which one would be passed over.
        """
        given: dict[str, Any] = FREE | {name: item[name].item() for name in FREE if name in item}
        search = searched(given)
        if search:
            refuse_idle(search, given, said=SAID in item and item[SAID].item() != UNSAID)
        drawn = search is None
        how = Sampling(
            temperature=(given["temperature"] if given["temperature"] >= GREEDY else 0) if drawn else 1,
            top_k=given["top_k"] or None if drawn else None,
            nucleus=given["top_p"] if drawn and given["top_p"] < 1 else None,
            min_p=given["min_p"] or None if drawn else None,
            repetition_penalty=given["repetition_penalty"],
        )
        return cls(
            length=given["length"], beams=given["beams"], contrast=given["contrast"],
            candidates=given["top_k"] or CANDIDATES, trace=given["trace"], seed=given["seed"], how=how,
        )  # fmt: skip


def searched(given: Mapping[str, Any]) -> str | None:
    """What takes the place of dice, if anything does: a key of ``SEARCHES``."""
    return "beams" if given["beams"] > 1 else "contrast" if given["contrast"] > 0 else None


def refuse_idle(search: str, given: Mapping[str, Any], said: bool) -> None:
    """Raise ``InputError`` for a wish that ``search`` would pass over; ``said``: there is a temperature."""
    others, why = SEARCHES[search]
    idle = [n for n in others if given[n] != FREE[n] or (n == "temperature" and said)]
    if idle:
        raise InputError(
            f"{idle[0]} is {given[idle[0]]} and {search} {given[search]}: {why}; leave out"
            f" {' and '.join(idle)}, or {search}"
        )


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


@runtime_checkable
class Lane(Protocol):
    """Texts that are read in lock step."""

    def read(self, token: np.ndarray) -> np.ndarray:
        """Logits (n, v) of what comes after ``token`` (n, t), t >= 1, given all that was read before."""
        ...

    def look(self, token: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """The same, and the vector (n, t, d) after each token, of which the scores there are made."""
        ...

    def select(self, texts: Sequence[int]) -> None:
        """Go on with these texts, in this order."""
        ...


@dataclass
class Carried:
    """By a network that makes one step: states go in and come out, as an exported model wants it."""

    network: Network
    states: Arrays

    def read(self, token: np.ndarray) -> np.ndarray:
        made: Arrays = {}
        for column in token.T:
            made = self.network({"token": column, **self.states})
            self.states = {name: made[f"next_{name}"] for name in self.states}
        return made["logits"]

    def look(self, token: np.ndarray) -> tuple[np.ndarray, Tensor]:
        steps = [(self.read(one[:, None]), torch.from_numpy(self.states[TOP][:, -1])) for one in token.T]
        return steps[-1][0], torch.stack([vector for _, vector in steps], dim=1)

    def select(self, texts: Sequence[int]) -> None:
        self.states = {name: state[list(texts)] for name, state in self.states.items()}


@dataclass
class Remembered:
    """By a model's own cache, which is written in place and reads a prompt at once: the same, sooner."""

    model: Any
    cache: Any

    def read(self, token: np.ndarray) -> np.ndarray:
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            return (
                self.model.eval().read(torch.from_numpy(token).to(device), self.cache).float().cpu().numpy()
            )

    def look(self, token: np.ndarray) -> tuple[np.ndarray, Tensor]:
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            vectors = self.model.eval().vectors(torch.from_numpy(token).to(device), self.cache)
            return self.model.scores(vectors[:, -1]).float().cpu().numpy(), vectors.float().cpu()

    def select(self, texts: Sequence[int]) -> None:
        self.cache.select(torch.tensor(texts))


@dataclass(frozen=True)
class Writer:
    """A network behind ports token, states -> logits, next states; and the states before anything is read."""

    network: Network
    zeros: Callable[[int], Arrays]
    vocabulary: Sequence[str]

    def lane(self, count: int, tokens: int) -> Lane:
        """For so many texts of at most so many ``tokens``; a model's own cache where they fit its context."""
        model = self.model
        if model is not None and tokens <= 2 * (model.cfg.context // 2):
            return Remembered(model, model.cache(count, tokens))
        return Carried(self.network, self.zeros(count))

    @property
    def model(self) -> Any:
        """What is behind the network, if that is at hand and has a cache of its own; its weights are laid."""
        model = getattr(self.network, "model", None)
        if not isinstance(model, nn.Module) or not hasattr(model, "cache"):
            return None
        lay_for_writing(model)
        return model

    def write(self, prompts: Sequence[Sequence[int]], wishes: Sequence[Wish]) -> list[list[int]]:
        """Each prompt, of one token or more, with what comes after it."""
        alone: dict[int, list[int]] = {}
        for i, wish in enumerate(wishes):
            if wish.beams > 1 or wish.contrast > 0:
                with self.packed(wish.beams if wish.beams > 1 else wish.candidates, wish.length):
                    alone[i] = (self.search if wish.beams > 1 else self.contrast)(prompts[i], wish)
        drawn = [i for i in range(len(wishes)) if i not in alone]
        together: list[list[int]] = []
        if drawn:
            with self.packed(len(drawn), min(wishes[i].length for i in drawn)):
                together = self.draw([prompts[i] for i in drawn], [wishes[i] for i in drawn])
        found = alone | dict(zip(drawn, together, strict=True))
        return [found[i] for i in range(len(wishes))]

    def packed(self, texts: int, tokens: int) -> AbstractContextManager[None]:
        """Weights in blocks while so many texts of so many tokens are written, where there is a model."""
        return nullcontext() if self.model is None else packed(self.model, texts, tokens)

    def draw(self, prompts: Sequence[Sequence[int]], wishes: Sequence[Wish]) -> list[list[int]]:
        """All texts in lock step; token k of each by the k-th number of a stream that its seed begins."""
        texts = [list(prompt) for prompt in prompts]
        goals = [len(text) + wish.length for text, wish in zip(texts, wishes, strict=True)]
        dice = [np.random.Generator(np.random.Philox(key=key("text", wish.seed))) for wish in wishes]
        numbers = [one.random(wish.length) for one, wish in zip(dice, wishes, strict=True)]
        lane, writing = self.lane(len(texts), max(goals)), list(range(len(texts)))
        place, ahead = 0, min(len(text) for text in texts)
        while writing:
            logits = lane.read(np.array([texts[i][place:ahead] for i in writing]))
            place, ahead = ahead, ahead + 1
            for row, i in enumerate(writing):
                if place >= len(prompts[i]):
                    number = float(numbers[i][place - len(prompts[i])])
                    texts[i].append(choose(logits[row], texts[i], wishes[i].how, number))
            unfinished = [row for row, i in enumerate(writing) if len(texts[i]) < goals[i]]
            if 0 < len(unfinished) < len(writing):  # not at every token: what is kept may be megabytes
                lane.select(unfinished)
            writing = [writing[row] for row in unfinished]
        return texts

    def search(self, prompt: Sequence[int], wish: Wish) -> list[int]:
        """``prompt`` and the likeliest text after it that the beams of ``wish`` find."""
        lane = self.lane(1, len(prompt) + wish.length)
        if len(prompt) > 1:
            lane.read(np.array([prompt[:-1]]))

        def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
            lane.select(parent.tolist())
            logits = lane.read(written[:, -1:].numpy())
            texts = [[*prompt[:-1], *text] for text in written.tolist()]
            left = [filtered(one, text, wish.how) for one, text in zip(logits, texts, strict=True)]
            return F.pad(torch.cat(left).log_softmax(dim=-1), (0, 1), value=-math.inf)  # no token is an end

        end = len(self.vocabulary)
        found = beam_search(score, start=prompt[-1], end=end, beams=wish.beams, longest=wish.length)
        return [*prompt, *found[0][0].tokens]

    def contrast(self, prompt: Sequence[int], wish: Wish) -> list[int]:
        """``prompt`` and what contrastive search writes after it: a step of all candidates for each token."""
        lane = self.comparing(len(prompt) + wish.length)
        text = list(prompt)
        logits, seen = lane.look(np.array([text]))
        for _ in range(wish.length):
            likely = filtered(logits[0], text, wish.how).softmax(dim=-1)
            shares, tokens = likely.topk(min(wish.candidates, likely.shape[1]))
            lane.select([0] * tokens.shape[1])
            logits, after = lane.look(tokens.T.numpy())
            try:
                best = int(
                    contrastive_choice(shares, after.transpose(0, 1).double(), seen.double(), wish.contrast)
                )
            except ValueError as error:
                raise RunError(str(error)) from error
            text.append(int(tokens[0, best]))
            lane.select([best])
            logits, seen = logits[best : best + 1], torch.cat([seen, after[best : best + 1]], dim=1)
        return text

    def comparing(self, tokens: int) -> Lane:
        """A lane for one text that shows the vectors behind its scores. Raises ``InputError`` without one."""
        lane = self.lane(1, tokens)
        if not isinstance(lane, Carried) or TOP in lane.states:
            return lane
        model = self.model
        if model is not None:
            most = 2 * (model.cfg.context // 2)
            raise InputError(
                f"contrast looks back at the whole text, {tokens} tokens here, and this model keeps {most};"
                " ask for a shorter text, or leave out contrast"
            )
        raise InputError(
            "contrast compares vectors that this network does not show, as an exported one does not; answer"
            " with --backend torch, or leave out contrast"
        )

    def trace(self, text: Sequence[int], wish: Wish) -> list[dict[str, Any]]:
        """For each token that was written, and the ``wish.trace`` likeliest at its place, how likely it was.

        ``probability`` is what the model gave it, ``share`` what temperature, filters and penalty made of
        that. The text is read again, which gives the same numbers.
        """
        lane, found, begun = self.lane(1, len(text)), [], 0
        for place in range(len(text) - wish.length, len(text)):
            logits, begun = lane.read(np.array([text[begun:place]])), place
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
