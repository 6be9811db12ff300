"""Thousands of malformed requests: never a failure of the server, never a word of its insides."""

import base64
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fathom import catalog

REQUESTS = 3200
LEAKS = (b"Traceback", b" object at 0x", b'File "', b".py", b"/home", b"site-packages", b"Error:")
EXTREMES = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 255, 256, 2**31, 2**63, 2**64, -(2**63), 10**30, 1e38, 1e39,
    1e300, 5e-324, "", "a", "\x00", "\ud800", "\u202e", "<img src=x onerror=alert(1)>", "../../etc/passwd",
    "NaN", "1e400", "%s%n", "A" * 2000, [], {}, [[]], [[], []], [None], ["a", 1], {"": None},
    {"__class__": "x"}, [[[[[[1]]]]]], list(range(300)),
)  # fmt: skip
RAW = (
    "1e400",
    "-1e999",
    "NaN",
    "Infinity",
    "1" * 400,
    "[" * 40,
    "{",
    '"\\ud800"',
    "\x00",
    "1 2",
    "",
    "[1,]",
    "'a'",
)

Mutator = Callable[[random.Random], tuple[bytes, str]]


def mutated(value: Any, dice: random.Random) -> Any:
    """``value`` with one thing in it exchanged, lost, doubled or wrapped."""
    turn = dice.random()
    if isinstance(value, dict) and value and turn < 0.9:
        key = dice.choice(list(value))
        if turn < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if turn < 0.2:
            return {**value, dice.choice(("x", "", "name", "items", "inputs")): dice.choice(EXTREMES)}
        return {**value, key: mutated(value[key], dice)}
    if isinstance(value, list) and value and turn < 0.85:
        place = dice.randrange(len(value))
        if turn < 0.1:
            return value[:place] + value[place + 1 :]
        if turn < 0.2:
            return [*value, value[place]]
        return [*value[:place], mutated(value[place], dice), *value[place + 1 :]]
    if turn > 0.97:
        return {"items": [value] * dice.choice((0, 1, 3, 300))}
    return [value] if turn > 0.94 else dice.choice(EXTREMES)


def damaged(data: bytes, dice: random.Random) -> bytes:
    """``data`` with some bytes changed, lost or doubled."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 5)):
        place = dice.randrange(len(changed) + 1)
        turn = dice.random()
        if turn < 0.6 and place < len(changed):
            changed[place] = dice.randrange(256)
        elif turn < 0.8:
            del changed[place : place + dice.randint(1, 20)]
        else:
            changed[place:place] = changed[place : place + dice.randint(1, 20)]
    return bytes(changed)


def as_text(value: Any) -> Any:
    """Bytes within an example as base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def json_body(example: Any) -> Mutator:
    def make(dice: random.Random) -> tuple[bytes, str]:
        value = example
        for _ in range(dice.randint(1, 3)):
            value = mutated(value, dice)
        text = json.dumps(value, default=as_text)
        if dice.random() < 0.3:
            place = dice.randrange(len(text) + 1)
            text = text[:place] + dice.choice(RAW) + text[place + dice.randint(0, 9) :]
        data = text.encode("utf-8", errors="surrogatepass")
        return (damaged(data, dice) if dice.random() < 0.2 else data), "application/json"

    return make


def picture_body(dice: random.Random) -> tuple[bytes, str]:
    size = dice.choice(((16, 16), (1, 1), (3, 90), (64, 48)))
    mode = dice.choice(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"))
    kind = {"CMYK": "JPEG", "1": "TIFF", "P": "GIF", "RGB": dice.choice(("JPEG", "WEBP", "BMP"))}.get(
        mode, "PNG"
    )
    file = io.BytesIO()
    Image.new(mode, size, 1).save(file, kind)
    data = file.getvalue()
    return (damaged(data, dice) if dice.random() < 0.8 else data), f"image/{kind.lower()}"


def form_body(dice: random.Random) -> tuple[bytes, str]:
    boundary = dice.choice(("x", "limit", "-" * 60, "'()+_,-./:=?"))
    picture, _ = picture_body(dice)
    body = b""
    for _ in range(dice.randint(0, 4)):
        name = dice.choice((' name="image"', ' name="text"', "", ' name=""', ' name="a"; filename="../x"'))
        file = dice.choice(("", '; filename="a.png"', "; filename*=UTF-8''%ff", '; filename=""'))
        body += f"--{boundary}\r\nContent-Disposition: form-data;{name}{file}\r\n\r\n".encode()
        body += dice.choice((picture, b"text", b"", b"\xff\xfe", f"--{boundary}".encode())) + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    kind = f'multipart/form-data; boundary="{boundary}"'
    return (damaged(body, dice) if dice.random() < 0.5 else body), kind


def tensors_of(served: Any) -> Any:
    """A good Open Inference Protocol request for any model: its first example."""
    arrays = served.decode(served.task.examples()[0])
    collate = getattr(served.task, "collate", None)
    batch = collate([arrays]) if collate else {n: a[None] for n, a in arrays.items()}
    names = {"uint8": "UINT8", "int64": "INT64", "float32": "FP32"}
    return {
        "inputs": [
            {"name": p.name, "datatype": names[p.dtype], "shape": list(batch[p.name].shape),
             "data": np.asarray(batch[p.name]).tolist()}
            for p in served.task.inputs()
        ]
    }  # fmt: skip


HEADERS = (
    (("X-Timeout-Seconds", "5"),), (("X-Timeout-Seconds", "x"),), (("Content-Length", "-5"),),
    (("Content-Length", "7"),), (("Inference-Header-Content-Length", "9"),), (("Origin", "null"),),
    (("X-Forwarded-Host", "evil.example"),), (("Transfer-Encoding", "chunked"),), (("Accept", "text/html"),),
    (("Cookie", "a=b"), ("Cookie", "a=c")),
)  # fmt: skip


def fuzz(client: Any, makers: dict[str, list[Mutator]], count: int, seed: int) -> Counter[int]:
    """Send ``count`` requests of ``makers``, by path; returns how often each status came."""
    dice, seen = random.Random(seed), Counter[int]()
    for _ in range(count):
        path = dice.choice(list(makers))
        body, kind = dice.choice(makers[path])(dice)
        if dice.random() < 0.05:
            kind = dice.choice(
                ("", "application/json", "image/png", "multipart/form-data", "text/plain", "\xff")
            )
        headers = dice.choice(HEADERS) if dice.random() < 0.1 else ()
        reply = client("POST", path, body=body, kind=kind, headers=headers)
        seen[reply.status] += 1
        assert reply.status < 500 or reply.status in (503, 504), (path, kind, body[:500], reply.body)
        if reply.status != 200:
            assert not any(leak in reply.body for leak in LEAKS), reply.body
            assert len(reply.body) < 2000 and reply.json()["error"]
        else:
            json.loads(reply.body, parse_constant=refuse)
    return seen


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def paths_of(served: Any) -> tuple[str, str]:
    return "/predict", f"/v2/models/{served.name}/infer"


@pytest.mark.slow
def test_malformed_requests_never_break_the_server(client: Any, lenet: Any, scraped: Any) -> None:
    predict, infer = paths_of(lenet)
    items = [json_body(example) for example in (*lenet.task.examples(), {"items": [[[1, 2], [3, 4]]]})]
    makers = {predict: [*items, picture_body, picture_body, form_body], infer: [json_body(tensors_of(lenet))]}
    seen = fuzz(client, makers, REQUESTS, seed=1)
    assert sum(seen.values()) == REQUESTS
    assert seen[200] > 200 and seen[400] > 1000  # neither all bad nor all good
    assert scraped(client)["fathom_requests_inside"] == 0
    assert client.post(lenet.task.examples()[0]).status == 200


@pytest.mark.parametrize("name", list(catalog.systems()))
def test_every_system_answers_its_examples_and_survives_nonsense(name: str, serve: Any, newborn: Any) -> None:
    served = newborn(name)
    client = serve(served)
    predict, infer = paths_of(served)
    for example in served.task.examples():
        reply = client.post(json.dumps(example, default=as_text).encode())
        assert reply.status == 200, reply.body
    assert client.post(tensors_of(served), infer).status == 200
    items = [json_body(example) for example in served.task.examples()]
    makers = {predict: [*items, form_body], infer: [json_body(tensors_of(served))]}
    seen = fuzz(client, makers, 60, seed=2)
    assert seen[400] >= 10
