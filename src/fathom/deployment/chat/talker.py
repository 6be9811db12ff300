"""A model that talks: messages become tokens, and an answer comes back piece by piece, as it is written.

What a person writes is text and nothing else. Tokens with a meaning of their own, such as the one that ends a
turn, come from the template alone: where a message spells one out, its letters are read as letters.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from fathom.deployment.chat.template import Template
from fathom.errors import InputError, RunError
from fathom.fundamentals.decoding.greedy_decoding import checked_logits
from fathom.fundamentals.decoding.token_sampling import Sampling
from fathom.training.randomness import generator

ROLES = ("system", "developer", "user", "assistant", "tool")
BROKEN = "\ufffd"  # what stands for the first bytes of a letter whose last are not written yet
MARK = "\ue000{}\ue001"  # stands for a message in a text; both signs are for private use
STOPS = 16  # texts that end an answer
LONGEST_STOP = 200  # characters of one


@runtime_checkable
class Model(Protocol):
    """What a talker needs of a network: `fathom.architectures.transformers.llama.Llama` has it."""

    cfg: Any

    def cache(self, batch: int = 1, rows: int | None = None) -> Any: ...

    def read(self, token: Tensor, cache: Any) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How an answer is written. Raises ``InputError`` for what cannot be."""

    length: int = 512  # tokens at most
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7))
    seed: int = 0
    stop: tuple[str, ...] = ()  # texts before which the answer ends

    def __post_init__(self) -> None:
        if not 1 <= self.length <= 1_000_000:
            raise InputError(f"an answer has 1 to 1,000,000 tokens, not {self.length}")
        if len(self.stop) > STOPS or not all(0 < len(text) <= LONGEST_STOP for text in self.stop):
            raise InputError(f"stop has up to {STOPS} texts of 1 to {LONGEST_STOP} characters each")


class Piece(NamedTuple):
    """A part of an answer. The last one has a reason: "stop", or "length" where there is no more room."""

    text: str
    reason: str | None = None
    tokens: int = 0  # written so far


@dataclass(frozen=True)
class Talker:
    """A model with its tokens and its template. ``ends`` are the tokens that end a turn."""

    model: Model
    tokenizer: Any  # of the package tokenizers
    template: Template
    ends: frozenset[int]
    name: str = "model"

    def encode(self, messages: Sequence[Any]) -> list[int]:
        """The tokens of a conversation, up to where the answer begins.

        A message has a ``role`` and a ``content``: a text, or a list of ``{"type": "text", "text": ...}``.
        Where a text spells a token of the template's, the texts are encoded apart from it. Raises
        ``InputError`` for other messages, and for more tokens than the model can read.
        """
        talk = [checked(message, place) for place, message in enumerate(messages)]
        if not talk:
            raise InputError("there is no message; give one at least, such as a user's")
        if any(self.marks().search(message["content"]) for message in talk):
            tokens = self.apart(talk)
        else:
            tokens = self.tokenizer.encode(self.template.render(talk), add_special_tokens=False).ids
        return self.fitting(list(tokens))

    def marks(self) -> re.Pattern[str]:
        """Finds the words that stand for a token of their own, such as the end of a turn."""
        words = {token.content for token in self.tokenizer.get_added_tokens_decoder().values()} - {""}
        return re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True)) or r"(?!)")

    def letters(self, text: str) -> list[str]:
        """``text`` in parts that spell no mark: each mark in it is cut in two."""
        cuts = [0, *(found.start() + 1 for found in self.marks().finditer(text)), len(text)]
        return [text[a:b] for a, b in itertools.pairwise(cuts)]

    def apart(self, talk: Sequence[Mapping[str, str]]) -> list[int]:
        """Template and messages encoded one by one, messages as letters alone."""
        marks = [MARK.format(place) for place in range(len(talk))]
        marked = [{**message, "content": mark} for message, mark in zip(talk, marks, strict=True)]
        pieces = re.split("(\ue000\\d+\ue001)", self.template.render(marked))
        lost = [place for place, mark in enumerate(marks) if mark not in pieces and talk[place]["content"]]
        if lost:
            raise InputError(
                f"message {lost[0]} spells a token of the template, which does not lay it out as it is; leave"
                " the token out"
            )
        tokens: list[int] = []
        for piece in pieces:
            parts = self.letters(talk[marks.index(piece)]["content"]) if piece in marks else [piece]
            for part in parts:
                tokens += self.tokenizer.encode(part, add_special_tokens=False).ids
        return tokens

    def begun(self, prompt: str) -> list[int]:
        """The tokens of a text that is to be gone on with, without a template; marks in it are letters."""
        first, *others = self.letters(prompt)
        tokens = list(self.tokenizer.encode(first).ids)
        for part in others:
            tokens += self.tokenizer.encode(part, add_special_tokens=False).ids
        return self.fitting(tokens)

    def fitting(self, tokens: list[int]) -> list[int]:
        """``tokens``, unless there are none, or no room is left for an answer."""
        if not tokens:
            raise InputError("the text has no token; write something")
        if len(tokens) >= self.model.cfg.context:
            raise InputError(
                f"the conversation has {len(tokens):,} tokens; this model reads {self.model.cfg.context:,},"
                " its answer among them: leave out earlier messages"
            )
        return tokens

    @torch.inference_mode()
    def tokens(self, begun: Sequence[int], manner: Manner) -> Iterator[int]:
        """Token after token, the one that ends the turn too, while there is room."""
        room = min(manner.length, self.model.cfg.context - len(begun))
        cache = self.model.cache(1, len(begun) + room)
        dice, text = generator("text", manner.seed), list(begun)
        read = torch.tensor([text])
        for _ in range(room):
            try:
                logits = checked_logits(self.model.read(read, cache).float())
                token = int(manner.sampling.choose(logits, torch.tensor([text]), dice))
            except ValueError as error:
                raise RunError(f"the model cannot go on: {error}") from error
            yield token
            text.append(token)
            read = torch.tensor([[token]])

    def answer(self, begun: Sequence[int], manner: Manner) -> Iterator[Piece]:
        """The answer as it grows: whole letters only, and nothing that may be the beginning of a stop."""
        written, shown, count = Letters(self.tokenizer), "", 0
        held, reason = "", "length"
        for token in self.tokens(begun, manner):
            count += 1
            if token in self.ends:
                reason = "stop"
                break
            held += written.add(token)
            ends = [place for stop in manner.stop if (place := held.find(stop)) >= 0]
            if ends:
                held, reason = held[: min(ends)], "stop"
                break
            sure = len(held) - beginnings(held, manner.stop)
            shown, held = held[:sure], held[sure:]
            if shown:
                yield Piece(shown, None, count)
        else:
            held += written.rest()
        yield Piece(held, reason, count)


class Letters:
    """Text from tokens, one after the other. A letter may take several tokens; half of one is kept back."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.window: list[int] = []  # the last tokens: how one is spelled depends on those before it
        self.known = 0  # of them were shown already

    def add(self, token: int) -> str:
        """What ``token`` adds to the text, or nothing yet."""
        self.window.append(token)
        before = self.tokenizer.decode(self.window[: self.known])
        text = self.tokenizer.decode(self.window)
        if text.endswith(BROKEN) or len(text) <= len(before):
            return ""
        self.window, self.known = self.window[self.known :], len(self.window) - self.known
        return text[len(before) :]

    def rest(self) -> str:
        """What was kept back, at the end of an answer that breaks off."""
        before = self.tokenizer.decode(self.window[: self.known])
        return self.tokenizer.decode(self.window)[len(before) :]


def beginnings(text: str, stops: Sequence[str]) -> int:
    """How many of the last letters of ``text`` may be the beginning of a stop."""
    longest = max((len(stop) - 1 for stop in stops), default=0)
    sizes = range(min(longest, len(text)), 0, -1)
    return next((n for n in sizes if any(stop.startswith(text[-n:]) for stop in stops)), 0)


def checked(message: Any, place: int) -> dict[str, str]:
    """A message with a role that is known and a content that is text. Raises ``InputError``."""
    if not isinstance(message, Mapping):
        raise InputError(f"message {place} is no object; it has a role and a content")
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise InputError(f"message {place} has the role {role!r}; allowed: {', '.join(ROLES)}")
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        kinds = [part.get("type") if isinstance(part, Mapping) else None for part in content]
        if any(kind != "text" for kind in kinds) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"message {place}: this model reads parts of the type text only")
        content = "".join(str(text) for text in texts)
    if not isinstance(content, str):
        raise InputError(f"message {place}: content is a text, not {type(content).__name__}")
    return {"role": "system" if role == "developer" else role, "content": content}
