"""``fathom generate --chat FOLDER``: a conversation in the terminal, or one answer with ``--prompt``."""

import argparse
import io
import json
import math
import sys
from typing import Any

from fathom.errors import InputError

NOT_HERE = (
    "beams",
    "contrast",
    "trace",
    "count",
    "out",
)  # wishes of generate that a conversation does not take
QUIT = ("/quit", "/exit")
USUAL = {  # what a flag that is left out means
    "length": 512, "temperature": 0.7, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0,
    "seed": 0,
}  # fmt: skip
Messages = list[dict[str, str]]


def chat(args: argparse.Namespace) -> int:
    """Answer the prompt, or message after message from the keyboard until it ends or says /quit."""
    if args.run is not None:
        raise InputError("give a run folder or --chat FOLDER, not both")
    for name in NOT_HERE:
        if getattr(args, name) is not None:
            raise InputError(f"--{name} does not go with --chat")
    from fathom.verbs.chat import open_talker

    how = manner(args)
    talker = open_talker(args.chat)
    messages = [{"role": "system", "content": args.system}] if args.system else []
    if args.prompt is not None:
        answered(talker, [*messages, {"role": "user", "content": args.prompt}], how, args.json)
        return 0
    print(f"{talker.name}: write a message; {QUIT[0]} or the end of input ends the conversation", flush=True)
    if isinstance(sys.stdin, io.TextIOWrapper):  # what is no text is said of its message, and not read on
        sys.stdin.reconfigure(errors="surrogateescape")
    while (line := asked()) is not None:
        if not line:
            continue
        try:
            talk, left = fitted(talker, [*messages, {"role": "user", "content": line}], how.length)
            if left:
                print(f"the conversation is full: its {counted(left)} left out", file=sys.stderr, flush=True)
            messages = [*talk, {"role": "assistant", "content": answered(talker, talk, how, args.json)}]
        except InputError as error:  # of this message: the conversation goes on without it
            print(f"fathom: {error}", file=sys.stderr, flush=True)
    return 0


def counted(turns: int) -> str:
    return "oldest message and its answer are" if turns == 1 else f"{turns} oldest messages and answers are"


def fitted(talker: Any, messages: Messages, length: int) -> tuple[Messages, int]:
    """``messages`` without so many of the oldest turns that an answer finds room, and how many these are.

    What the model was told before the conversation stays. Raises ``InputError`` where the last message alone
    is too long, and for one that cannot be read.
    """
    from fathom.deployment.chat.talker import Full

    begin, left = int(messages[0]["role"] == "system"), 0
    context = talker.model.cfg.context
    while True:
        last = len(messages) == begin + 1
        try:
            room = context - len(talker.encode(messages))
            if last or room >= min(length, context // 8):
                return messages, left
        except Full:
            if last:
                raise
        messages, left = messages[:begin] + messages[begin + 2 :], left + 1


def asked() -> str | None:
    """The next message, or None where there is none any more."""
    try:
        line = input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None
    return None if line in QUIT else line


def answered(talker: Any, messages: Messages, how: Any, as_json: bool) -> str:
    """Print the answer while it is written, or one line of JSON with ``as_json``; return it."""
    from fathom.verbs.chat import talk

    said: list[str] = []
    for piece in talk(talker, messages, how):
        said.append(piece.text)
        if not as_json:
            print(piece.text, end="", flush=True)
        if piece.reason is not None and as_json:
            print(json.dumps({"text": "".join(said), "reason": piece.reason, "tokens": piece.tokens}))
    if not as_json:
        print(flush=True)
    return "".join(said)


def manner(args: argparse.Namespace) -> Any:
    """How to write, from the command line, within the limits that texts of runs have."""
    from fathom.deployment.chat.talker import Manner
    from fathom.deployment.writing import GREEDY, WISHES
    from fathom.fundamentals.decoding.token_sampling import Sampling

    limits = {name: (low, high) for name, _, low, high, _ in WISHES} | {"length": (1, 1_000_000)}
    given: dict[str, Any] = {}
    for name, usual in USUAL.items():
        value, (low, high) = getattr(args, name), limits[name]
        given[name] = usual if value is None else value
        if not low <= given[name] <= high:
            allowed = f"{low:,} or more" if math.isinf(high) else f"{low:,} to {high:,}"
            raise InputError(f"--{name.replace('_', '-')} is {value}; allowed: {allowed}")
    sampling = Sampling(
        temperature=0 if given["temperature"] < GREEDY else given["temperature"],
        top_k=given["top_k"] or None, nucleus=given["top_p"], min_p=given["min_p"] or None,
        repetition_penalty=given["repetition_penalty"],
    )  # fmt: skip
    return Manner(length=given["length"], sampling=sampling, seed=given["seed"])
