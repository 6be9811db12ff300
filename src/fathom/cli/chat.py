"""``fathom generate --chat FOLDER``: a conversation in the terminal, or one answer with ``--prompt``."""

import argparse
import json
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


def chat(args: argparse.Namespace) -> int:
    """Answer the prompt, or message after message from the keyboard until it ends or says /quit."""
    if args.run is not None:
        raise InputError("give a run folder or --chat FOLDER, not both")
    for name in NOT_HERE:
        if getattr(args, name) is not None:
            raise InputError(f"--{name} does not go with --chat")
    from fathom.verbs.chat import open_talker

    talker = open_talker(args.chat)
    messages = [{"role": "system", "content": args.system}] if args.system else []
    if args.prompt is not None:
        answered(talker, [*messages, {"role": "user", "content": args.prompt}], args)
        return 0
    print(f"{talker.name}: write a message; {QUIT[0]} or the end of input ends the conversation", flush=True)
    while (line := asked()) is not None:
        if line:
            messages.append({"role": "user", "content": line})
            messages.append({"role": "assistant", "content": answered(talker, messages, args)})
    return 0


def asked() -> str | None:
    """The next message, or None where there is none any more."""
    try:
        line = input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None
    return None if line in QUIT else line


def answered(talker: Any, messages: list[dict[str, str]], args: argparse.Namespace) -> str:
    """Print the answer while it is written, or one line of JSON with ``--json``; return it."""
    from fathom.verbs.chat import talk

    said: list[str] = []
    for piece in talk(talker, messages, manner(args)):
        said.append(piece.text)
        if not args.json:
            print(piece.text, end="", flush=True)
        if piece.reason is not None and args.json:
            print(json.dumps({"text": "".join(said), "reason": piece.reason, "tokens": piece.tokens}))
    if not args.json:
        print(flush=True)
    return "".join(said)


def manner(args: argparse.Namespace) -> Any:
    """How to write, from the command line."""
    from fathom.deployment.chat.talker import Manner
    from fathom.fundamentals.decoding.token_sampling import Sampling

    try:
        sampling = Sampling(
            temperature=0.7 if args.temperature is None else args.temperature, top_k=args.top_k,
            nucleus=args.top_p, min_p=args.min_p, repetition_penalty=args.repetition_penalty or 1.0,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(str(error)) from error
    return Manner(length=args.length or 512, sampling=sampling, seed=args.seed or 0)
