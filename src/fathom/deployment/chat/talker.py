"""A model that talks: messages become tokens, and an answer comes back piece by piece, as it is written.

What a person writes is text and nothing else. Tokens with a meaning of their own, such as the one that ends a
turn, come from the template alone: where a message spells one out, its letters are read as letters.

How a piece of text is spelled may depend on where it stands: some tokenizers put a space in front of a text,
or of what comes after a token of its own. So a conversation is always encoded as a whole.
"""

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
WORD = "\ue000{}:{}\ue001"  # stands for a mark in a text; both signs are for private use
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


class Full(InputError):
    """A conversation with more tokens than the model reads."""


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

    def __post_init__(self) -> None:
        # Where a folder was saved after training, these may cut and fill texts as it was done there.
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def encode(self, messages: Sequence[Any]) -> list[int]:
        """The tokens of a conversation, up to where the answer begins, as tokenizer.json makes them.

        A message has a ``role`` and a ``content``: a text, or a list of ``{"type": "text", "text": ...}``.
        Where a text spells a token of the template's, it is read as letters. Raises ``InputError`` for other
        messages, and for more tokens than the model can read.
        """
        talk = [checked(message, place) for place, message in enumerate(messages)]
        for place, message in enumerate(talk):
            refuse_halves(f"message {place}", message["content"])
        if not talk:
            raise InputError("there is no message; give one at least, such as a user's")
        typed: list[tuple[int, str]] = []  # message and mark

        def hidden(text: str, role: str, place: int) -> str:
            def word(found: re.Match[str]) -> str:
                typed.append((place, found[0]))
                return WORD.format(self.secret, len(typed) - 1)

            return (self.turns if role == "assistant" else self.marks).sub(word, text)

        shown = [{**m, "content": hidden(m["content"], m["role"], place)} for place, m in enumerate(talk)]
        text = self.template.render(shown)
        refuse_halves("what the chat template writes", text)
        if not typed:
            return self.fitting(self.tokenizer.encode(text, add_special_tokens=False).ids)
        for number, (place, mark) in enumerate(typed):
            if WORD.format(self.secret, number) not in text:
                raise InputError(
                    f"message {place} spells {mark}, a token of the template, which does not lay it out as it"
                    " is; leave the token out"
                )

        def spelled(found: re.Match[str]) -> str:
            return self.names[found[0]] if found[1] is None else typed[int(found[1])][1]

        either = re.compile(f"{WORD.format(self.secret, '([0-9]+)')}|{self.marks.pattern}")
        return self.fitting(self.plain.encode(either.sub(spelled, text), add_special_tokens=False).ids)

    @cached_property
    def secret(self) -> str:
        """A part of all words that stand for marks: who writes to the model cannot know it."""
        return secrets.token_hex(8)

    @cached_property
    def names(self) -> dict[str, str]:
        """The words that stand for a token of their own, such as the end of a turn, and a name for each.

        A tokenizer may have tokens for several spaces at once. Those are letters.
        """
        added = self.tokenizer.get_added_tokens_decoder()
        found = {t.content: n for n, t in added.items() if t.content.strip() or (t.special and t.content)}
        return {mark: WORD.format(self.secret, f"token{n}") for mark, n in found.items()}

    @cached_property
    def marks(self) -> re.Pattern[str]:
        """Finds these words."""
        return any_of(self.names)

    @cached_property
    def turns(self) -> re.Pattern[str]:
        """Finds those that a model does not write as text. It does write others, such as where it thinks."""
        added = self.tokenizer.get_added_tokens_decoder().values()
        return any_of([token.content for token in added if token.special and token.content])

    @cached_property
    def plain(self) -> Any:
        """The tokenizer, with marks under their ``names`` alone: as they are spelled, they are letters.

        The model within forgets the words too: else it might put one together, letter by letter.
        """
        told, names = json.loads(self.tokenizer.to_str()), self.names
        for token in told["added_tokens"]:
            if token["content"] in names:
                token |= {"content": names[token["content"]], "normalized": False, "single_word": False}
        model = told["model"]
        words = model["vocab"]  # with scores it is a list
        model["vocab"] = (
            {names.get(word, word): number for word, number in words.items()}
            if isinstance(words, dict)
            else [[names.get(word, word), score] for word, score in words]
        )
        if model.get("unk_token") in names:
            model["unk_token"] = names[model["unk_token"]]
        if "merges" in model:
            model["merges"] = [
                pair for pair in model["merges"] if names.keys().isdisjoint({*pair, "".join(pair)})
            ]
        return type(self.tokenizer).from_str(json.dumps(told))

    def begun(self, prompt: str) -> "Begun":
        """The tokens of a text that is to be gone on with, without a template; marks in it are letters."""
        refuse_halves("the prompt", prompt)
        tokenizer = self.plain if self.marks.search(prompt) else self.tokenizer
        return Begun(self.fitting(tokenizer.encode(prompt).ids))

    def fitting(self, tokens: list[int]) -> list[int]:
        """``tokens``, unless there are none, or no room is left for an answer."""
        if not tokens:
            raise InputError("the text has no token; write something")
        if len(tokens) >= self.model.cfg.context:
            raise Full(
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
        """The answer as it grows: whole letters only, and nothing that may be the beginning of a stop.

        In a conversation it begins without the space that its first token may have. After a text that is
        gone on with, the space is part of it.
        """
        before = begun if isinstance(begun, Begun) else ()
        written, shown, count = Letters(self.tokenizer, before), "", 0
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


class Begun(list[int]):
    """Tokens of a text that is to be gone on with."""


class Letters:
    """Text from tokens, one after the other. A letter may take several tokens; half of one is kept back.

    ``before`` are tokens that the text goes on from.
    """

    def __init__(self, tokenizer: Any, before: Sequence[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.window = list(before)  # the last tokens: how one is spelled depends on those before it
        self.known = len(self.window)  # of them were shown already

    def add(self, token: int) -> str:
        """What ``token`` adds to the text, or nothing yet."""
        self.window.append(token)
        text = self.rest()
        if not text or text.endswith(BROKEN):
            return ""
        self.window, self.known = self.window[self.known :], len(self.window) - self.known
        return text

    def rest(self) -> str:
        """What is kept back: where an answer breaks off, it is shown as it is."""
        before = self.tokenizer.decode(self.window[: self.known])
        text = self.tokenizer.decode(self.window)
        if not text.startswith(before):  # a byte that belongs to no letter spoils those before it
            return self.tokenizer.decode(self.window[self.known :])
        return text[len(before) :]


def refuse_halves(what: str, text: str) -> None:
    """Raise ``InputError`` for a text that has halves of letters: no tokenizer reads them."""
    half = next((place for place, letter in enumerate(text) if "\ud800" <= letter <= "\udfff"), None)
    if half is None:
        return
    raw = 0xDC80 <= ord(text[half]) <= 0xDCFF  # how Python keeps a byte that it could not read
    found = (
        f"the byte 0x{ord(text[half]) - 0xDC00:02x}" if raw else f"U+{ord(text[half]):04X}, half of a letter,"
    )
    raise InputError(f"{what} is no text in UTF-8: {found} stands at place {half}")


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """Finds any of ``words``, the longest where several begin."""
    return re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True)) or r"(?!)")


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
