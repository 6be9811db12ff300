"""What a request is about: its topic, its question, its exercise, its figure, and the fields of its form."""

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from fathom.errors import InputError
from fathom.learn.engine import curriculum
from fathom.learn.engine.exercise import Exercise, exercise, exercises
from fathom.learn.engine.figure import FigureHead, read_figures
from fathom.learn.engine.topic import Block, ExerciseBlock, Head, Milestone, Topic
from fathom.learn.web.gate import Turned
from fathom.learn.web.study import LONGEST

LARGEST = 4 * LONGEST  # bytes of a body: an answer, each byte of it three at the most


def head_of(request: Request) -> Head:
    slug = request.path_params["slug"]
    if slug not in curriculum.heads():
        raise Turned(404, f"There is no topic {slug}.")
    return curriculum.find(slug)


def topic_of(request: Request) -> Topic:
    head = head_of(request)
    if not head.written:
        raise Turned(404, f"The page {head.slug} is still to come.")
    return curriculum.topic(head.slug)


def asked_of(request: Request, kind: Any) -> tuple[Topic, int, Any]:
    topic, item = topic_of(request), request.path_params["item"]
    blocks = list(topic.every(kind))
    if not 1 <= item <= len(blocks):
        raise Turned(404, f"{topic.head.slug} asks {len(blocks)} of these.")
    return topic, item, blocks[item - 1]


def exercise_of(request: Request) -> tuple[Topic, Block, Exercise]:
    topic, name = topic_of(request), request.path_params["name"]
    if name not in exercises(topic.head.slug):
        raise Turned(404, f"{topic.head.slug} has no exercise {name}.")
    block = next(b for b in topic.blocks if isinstance(b, ExerciseBlock | Milestone) and b.name == name)
    return topic, block, exercise(topic.head.slug, name)


def figure_of(request: Request) -> tuple[Path, FigureHead]:
    topic, name = topic_of(request), request.path_params["name"]
    assert topic.head.folder is not None
    figures = figures_of(topic.head.folder)
    if name not in figures:
        raise Turned(404, f"{topic.head.slug} has no figure {name}.")
    return topic.head.folder, figures[name]


@cache
def figures_of(folder: Path) -> dict[str, FigureHead]:
    return read_figures(folder)


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form; ``InputError`` for a body that is too large or none."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST:
            raise InputError(f"An answer has at most {LONGEST // 1024} KiB.")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        raise InputError("This is no form.") from None


def asks_part(request: Request) -> bool:
    return "x-part" in request.headers
