"""The application: what it answers, what it refuses, and that company and crowds change nothing."""

import asyncio
import base64
import dataclasses
import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fathom.deployment.artifact import Artifact
from fathom.task import Arrays

JSON = "application/json"
RAMP = np.linspace(0, 255, 256).reshape(16, 16).astype(np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, str]:
    """A multipart body of (name, file name, content), and its content type."""
    body = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename is not None else ""
        body += f'--limit\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + b"--limit--\r\n", "multipart/form-data; boundary=limit"


def tensor(values: Any, **changes: Any) -> dict[str, Any]:
    array = np.asarray(values)
    given = {"name": "image", "datatype": "UINT8", "shape": list(array.shape), "data": array.tolist()}
    return {"inputs": [{**given, **changes}]}


def near(ours: dict[str, Any], theirs: dict[str, Any], tolerance: float = 1e-4) -> bool:
    shares = ours["probabilities"], theirs["probabilities"]
    return ours["label"] == theirs["label"] and all(
        abs(shares[0][k] - shares[1][k]) <= tolerance for k in shares[0]
    )


# -- answers -----------------------------------------------------------------------------------
def test_one_item_and_many(client: Any, lenet: Artifact) -> None:
    one = client.post(RAMP.tolist()).json()
    assert near(one, lenet.predict([RAMP])[0], 1e-6)
    assert one["model"] == "lenet/0123456789ab"
    many = client.post({"items": [RAMP.tolist(), RAMP.T.tolist(), RAMP.tolist()]}).json()["items"]
    assert near(many[0], one, 1e-6) and near(many[2], one, 1e-6) and not near(many[1], one)
    refused = client.post({"items": [RAMP.tolist(), [[1], [1, 2]]]})
    assert refused.status == 400 and refused.json()["error"].startswith("item 1: the rows")


def test_a_picture_comes_as_body_file_or_text(client: Any, lenet: Artifact) -> None:
    data = encoded(Image.fromarray(RAMP))
    wanted = lenet.predict([data])[0]
    for kind in ("image/png", "application/octet-stream", "image/anything"):
        assert near(client.post(data, kind=kind).json(), wanted, 1e-6)
    assert near(client.post(base64.b64encode(data).decode()).json(), wanted, 1e-6)
    body, kind = form(("picture", "a.png", data))
    assert near(client.post(body, kind=kind).json(), wanted, 1e-6)
    body, kind = form(
        ("a", "a.png", data), ("a", "b.png", encoded(Image.fromarray(RAMP.T))), ("note", None, b"x")
    )
    both = client.post(body, kind=kind).json()["items"]
    assert near(both[0], wanted, 1e-6) and not near(both[1], wanted)


ODD = {
    "exif": lambda: encoded(Image.fromarray(RAMP[:, :9]), "JPEG", exif=turned(6), quality=95),
    "16 bits": lambda: encoded(Image.fromarray(RAMP.astype(np.uint16) << 8)),
    "grey": lambda: encoded(Image.fromarray(RAMP), "BMP"),
    "CMYK": lambda: encoded(Image.fromarray(RAMP).convert("CMYK"), "JPEG"),
    "odd size": lambda: encoded(Image.fromarray(np.tile(RAMP, (3, 5))[:37, :61]), "WEBP", lossless=True),
    "palette": lambda: encoded(Image.fromarray(np.dstack([RAMP, RAMP.T, RAMP])).quantize(16), "GIF"),
    "alpha": lambda: encoded(Image.fromarray(np.dstack([RAMP, RAMP.T]))),
    "one pixel": lambda: encoded(Image.new("RGB", (1, 1), (9, 99, 199))),
    "bilevel": lambda: encoded(Image.fromarray(RAMP).convert("1"), "TIFF"),
}


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.slow
def test_same_bytes_same_answer_of_torch_and_onnx(kind: str, lenet: Artifact, twin: Artifact) -> None:
    data = ODD[kind]()
    assert near(lenet.predict([data])[0], twin.predict([data])[0])


@pytest.mark.parametrize("kind", ODD)
def test_same_bytes_same_answer_over_http(kind: str, client: Any, lenet: Artifact) -> None:
    data = ODD[kind]()
    torch = lenet.predict([data])[0]
    assert near(torch, client.post(data, kind="image/x").json())
    pixels = tensor(lenet.decode(data)["image"][None])
    raw = client.post(pixels, "/v2/models/lenet/infer").json()["outputs"][0]["data"]
    assert raw == pytest.approx(list(torch["probabilities"].values()), abs=1e-4)


def test_parts_of_an_item(serve: Any, newborn: Any) -> None:
    """A model of pictures and texts takes a form with a file and a field, and JSON with base64."""
    served = newborn("image_text")
    client = serve(served)
    data = encoded(Image.fromarray(RAMP))
    body, kind = form(("image", "a.png", data), ("text", None, b"a circle"))
    wanted = served.predict([{"image": data, "text": "a circle"}])[0]
    assert near(client.post(body, kind=kind).json(), wanted, 1e-6)
    assert near(
        client.post({"image": base64.b64encode(data).decode(), "text": "a circle"}).json(), wanted, 1e-6
    )
    body, kind = form(("image", "a.png", data))
    assert "'text' is missing" in client.post(body, kind=kind).json()["error"]


def test_plain_text(serve: Any, newborn: Any) -> None:
    served = newborn("text_cnn")
    client = serve(served)
    (name,) = client.app.bodies.fields
    wanted = served.predict([{name: "good \u00e9"}])[0]
    assert near(client.post("good \u00e9".encode(), kind="text/plain; charset=utf-8").json(), wanted, 1e-6)
    assert client.post(b"", kind="text/plain").status == 200
    assert client.post(b"\xff", kind="text/plain").status == 400


def test_a_text_that_is_cut_is_said_with_its_answer_alone(serve: Any, newborn: Any) -> None:
    served = newborn("text_cnn")
    client, length = serve(served), served.task.length
    (name,) = client.app.bodies.fields
    short, long = "good", "good " * (length + 3)
    told = f"only the first {length} of {length + 3} words were read"
    answers = client.post({"items": [{name: short}, {name: long}]}).json()["items"]
    assert [answer.get("cut") for answer in answers] == [None, told]
    assert client.post(long.encode(), kind="text/plain").json()["cut"] == told
    assert [answer.get("cut") for answer in served.predict([short, long])] == [None, told]


def test_beams_and_a_temperature_do_not_go_together(serve: Any, newborn: Any) -> None:
    client = serve(newborn("char_lstm"))
    wish = {"prompt": "", "length": 3}
    assert client.post(wish | {"beams": 2}).json()["tokens"] == 3
    refused = client.post(wish | {"beams": 2, "temperature": 0.8})
    assert refused.status == 400 and "temperature is 0.8 and beams 2" in refused.json()["error"]
    assert client.post(wish | {"contrast": 0.6, "top_k": 2}).json()["tokens"] == 3


# -- Open Inference Protocol ----------------------------------------------------------------------
def test_metadata_and_health(client: Any) -> None:
    assert client("GET", "/v2").json()["extensions"] == []
    assert client("GET", "/v2/health/live").json() == {"live": True}
    assert client("GET", "/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/models/lenet", "/v2/models/lenet/versions/0123456789ab"):
        assert client("GET", path).json() == {
            "name": "lenet",
            "versions": ["0123456789ab"],
            "platform": "pytorch",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 1, 16, 16]}],
            "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]}],
        }
        assert client("GET", f"{path}/ready").json() == {"name": "lenet", "ready": True}
    for missing in ("/v2/models/other", "/v2/models/lenet/versions/1", "/v2/models/other/ready"):
        assert client("GET", missing).status == 404


def test_infer(client: Any) -> None:
    given = np.stack([RAMP[None], RAMP.T[None]])
    asked = {**tensor(given), "id": "seven", "parameters": {"x": 1}}
    reply = client.post(asked, "/v2/models/lenet/infer").json()
    assert {n: reply[n] for n in ("model_name", "model_version", "id")} == {
        "model_name": "lenet", "model_version": "0123456789ab", "id": "seven"}  # fmt: skip
    (output,) = reply["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP32", [2, 4])
    assert np.reshape(output["data"], (2, 4)).sum(axis=1) == pytest.approx([1, 1])
    flat = client.post(tensor(given, data=given.ravel().tolist()), "/v2/models/lenet/infer").json()
    assert flat["outputs"] == reply["outputs"] and "id" not in flat
    chosen = client.post({**asked, "outputs": [{"name": "probabilities"}]}, "/v2/models/lenet/infer").json()
    assert chosen == reply


BAD_TENSORS: dict[str, tuple[Any, int, str]] = {
    "no object": ([], 400, "inputs"),
    "no inputs": ({}, 400, "inputs"),
    "inputs no list": ({"inputs": 5}, 400, "inputs"),
    "none given": ({"inputs": []}, 400, "missing: image"),
    "no tensor": ({"inputs": [5]}, 400, "no input None"),
    "name": (tensor(RAMP[None, None], name="picture"), 400, "no input 'picture'"),
    "name a list": (tensor(RAMP[None, None], name=["image"]), 400, "no input"),
    "twice": ({"inputs": tensor(RAMP[None, None])["inputs"] * 2}, 400, "twice"),
    "datatype": (tensor(RAMP[None, None], datatype="FP32"), 400, "UINT8"),
    "no datatype": (tensor(RAMP[None, None], datatype=None), 400, "UINT8"),
    "shape": (tensor(RAMP[None, None], shape=[1, 1, 8, 32]), 400, "shape"),
    "shape of truths": (tensor(RAMP[None, None], shape=[True, 1, 16, 16]), 400, "shape"),
    "negative": (tensor(RAMP[None, None], shape=[-1, 1, 16, 16]), 400, "shape"),
    "huge": (tensor(RAMP[None, None], shape=[2**62, 1, 16, 16]), 413, "too large"),
    "no rows": (tensor(np.zeros((0, 1, 16, 16))), 400, "batch axis"),
    "rows": (tensor(np.zeros((257, 1, 16, 16))), 400, "batch axis"),
    "too few": (tensor(RAMP[None, None], data=[1, 2]), 400, "holds 2 values"),
    "none": (tensor(RAMP[None, None], data=None), 400, "null"),
    "texts": (tensor(RAMP[None, None], data=["1"] * 256), 400, "not text"),
    "truths": (tensor(RAMP[None, None], data=[True] * 256), 400, "numbers only"),
    "ragged": (tensor(RAMP[None, None], data=[[1], [1, 2]]), 400, "equally long"),
    "fractions": (tensor(RAMP[None, None], data=[0.5] * 256), 400, "fractions"),
    "beyond bytes": (tensor(RAMP[None, None], data=[256] * 256), 400, "0 to 255"),
    "output": ({**tensor(RAMP[None, None]), "outputs": [{"name": "x"}]}, 400, "no output 'x'"),
    "outputs": ({**tensor(RAMP[None, None]), "outputs": {"name": 1}}, 400, "list"),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_bad_tensors_are_refused_with_the_reason(name: str, client: Any) -> None:
    value, status, reason = BAD_TENSORS[name]
    reply = client.post(value, "/v2/models/lenet/infer")
    assert reply.status == status
    assert reason in reply.json()["error"]


def test_binary_tensors_are_refused(client: Any) -> None:
    for length in ("10", "-1", "9" * 50):
        headers = [("Inference-Header-Content-Length", length)]
        assert client.post(tensor(RAMP[None, None]), "/v2/models/lenet/infer", headers=headers).status == 400


def test_tokens_beyond_the_vocabulary_do_not_reach_the_network(serve: Any, newborn: Any) -> None:
    served = newborn("text_cnn")
    client = serve(served)
    port = served.task.inputs()[0]
    length = int(port.shape[1])
    last = len(served.task.vocabulary) - 1
    for value, status in ((0, 200), (last, 200), (last + 1, 400), (-1, 400), (2**63, 400), (0.5, 400)):
        data = {"name": port.name, "datatype": "INT64", "shape": [1, length], "data": [value] * length}
        assert client.post({"inputs": [data]}, f"/v2/models/{served.name}/infer").status == status


def test_what_the_network_cannot_run_is_the_tensors_fault(serve: Any, newborn: Any, capsys: Any) -> None:
    """A graph's link to a node that is not there passes every check of shapes and bounds."""
    served = newborn("gcn")
    client = serve(served)
    features = np.zeros((2, served.task.features)).tolist()
    given = [
        {"name": "features", "datatype": "FP32", "shape": [2, served.task.features], "data": features},
        {"name": "edges", "datatype": "INT64", "shape": [2, 1], "data": [0, 9]},
    ]
    reply = client.post({"inputs": given}, f"/v2/models/{served.name}/infer")
    assert reply.status == 422 and "cannot run" in reply.json()["error"]
    assert "Traceback" in capsys.readouterr().err
    refused = client.post({"features": features, "edges": [[0], [9]]})
    assert refused.status == 400 and "node 9" in refused.json()["error"]


# -- refusals ---------------------------------------------------------------------------------------
def test_bodies_that_are_no_json(client: Any) -> None:
    for body, reason in (
        (b"", "no JSON"), (b"{", "no JSON"), (b"NaN", "finite"), (b'{"a": Infinity}', "finite"),
        (b"[1e400]", "large"), (b"[-1e999]", "large"), (b"9" * 400, "large"), (b"9" * 5000, "no JSON"),
        (b"[" * 100_000, "deeper"), (b'{"a":' * 17 + b"1" + b"}" * 17, "deeper"), (b'["\x00"]', "no JSON"),
        (b"\xff\xfe[\x00]\x00", "UTF-8"),
        (b"\xef\xbb\xbf[1]", "no JSON"),
    ):  # fmt: skip
        reply = client.post(body)
        assert reply.status == 400 and reason in reply.json()["error"], body[:20]
    brackets = '["' + "[" * 1000 + '\\"' + "{" * 1000 + '"]'
    assert "not text" in client.post(brackets.encode()).json()["error"]  # inside quotes they do not count


def test_kinds_and_forms(client: Any) -> None:
    assert client.post(b"x", kind="application/x-python-pickle").status == 415
    assert client.post(b"x", kind="").status == 415
    body, kind = form(("a", "a.png", b"x"))
    for damaged in (b"", b"x", body[:-10], body.replace(b"--limit--", b""), body[7:], b"--limit--\r\n"):
        assert client.post(damaged, kind=kind).status == 400
    assert client.post(body, kind="multipart/form-data").status == 400
    wide = form(*((f"n{i}", "f", b"") for i in range(300)))
    assert "256 parts" in client.post(wide[0], kind=wide[1]).json()["error"]
    for long in (b"x" * 5000, b"\r\n".join(b"h%d: 1" % i for i in range(30))):
        headers = b"--limit\r\nA: " + long + b"\r\n\r\nx\r\n--limit--\r\n"
        assert client.post(headers, kind=kind).status == 400


def test_large_bodies(serve: Any, lenet: Artifact) -> None:
    client = serve(lenet, body=1000)
    small, large = json.dumps([[1] * 300]).encode(), b"[" + b" " * 1000 + b"]"
    assert client.post(small).status == 200
    assert client.post(large).status == 413
    assert client.post(small, headers=[("Content-Length", "1001")]).status == 413  # before a byte is read
    assert (
        client("POST", "/predict", body=[large[:400], large[400:800], large[800:]], kind=JSON).status == 413
    )
    lying = client.post(large, headers=[("Content-Length", "10")])
    assert lying.status == 413
    assert client("POST", "/predict", body=[small[:9], small[9:]], kind=JSON).status == 200
    for nonsense in ("-1", "1e3", "\u00b2", "0x10", "9" * 5000, "+5"):
        assert client.post(small, headers=[("Content-Length", nonsense)]).status == 400
    assert client.post(small, headers=[("Content-Length", "5"), ("Content-Length", "6")]).status == 400


def endless(read: list[int]) -> Iterator[bytes]:
    while True:
        read.append(1)
        yield b" " * 100


def test_an_endless_body_is_left_at_the_limit(serve: Any, lenet: Artifact) -> None:
    read: list[int] = []
    assert serve(lenet, body=1000)("POST", "/predict", body=endless(read), kind=JSON).status == 413
    assert len(read) == 11


def test_all_bodies_together_are_bounded(serve: Any, held: Any) -> None:
    network, served = held
    client = serve(served, bodies=3 * len(json.dumps(RAMP.tolist())))

    async def crowd() -> Any:
        first = await occupied(client, network)
        asked = [asyncio.create_task(posting(client, RAMP.tolist())) for _ in range(2)]
        await queued(client, 2)
        refused = await posting(client, RAMP.tolist())
        network.gate.set()
        return refused, await asyncio.gather(first, *asked)

    refused, answered = client.run(crowd())
    assert refused.status == 503 and refused.headers["retry-after"] == "1"
    assert [r.status for r in answered] == [200] * 3
    assert client.app.admission.held == 0
    assert client.post(RAMP.tolist()).status == 200


def test_decoding_ends_when_nobody_waits(serve: Any, lenet: Artifact, around: Any) -> None:
    """The third of many pictures takes too long: the fourth is never looked at."""
    served = around(lenet.task, lenet.network)
    gate, seen = threading.Event(), list[Any]()

    def decode(item: Any) -> Arrays:
        seen.append(item)
        if len(seen) == 3:
            gate.wait(60)
        return lenet.decode(item)

    client = serve(served)
    served.decode = decode
    late = client.post({"items": [RAMP.tolist()] * 50}, headers=[("X-Timeout-Seconds", "0.2")])
    assert late.status == 504
    gate.set()
    client.app.decoders.shutdown(wait=True)
    assert len(seen) == 3


def test_a_slow_body_is_not_waited_for(serve: Any, lenet: Artifact) -> None:
    client = serve(lenet, body_seconds=0.05)
    reply = client("POST", "/predict", body=[b"[", 3600.0, b"]"], kind=JSON)
    assert reply.status == 408 and "0.05 s" in reply.json()["error"]
    assert client.post(RAMP.tolist()).status == 200


def test_a_client_that_leaves_while_sending_gets_no_answer(client: Any, scraped: Any) -> None:
    client.run(leaving(client))
    assert scraped(client)['fathom_requests_total{route="/predict",status="499"}'] == 1
    assert scraped(client)["fathom_requests_inside"] == 0


async def leaving(client: Any) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    await client.app(scope, receive, send)


def test_patience_is_a_positive_number(client: Any) -> None:
    for nonsense in ("0", "-1", "nan", "inf", "soon", "1e999"):
        assert client.post(RAMP.tolist(), headers=[("X-Timeout-Seconds", nonsense)]).status == 400
    assert client.post(RAMP.tolist(), headers=[("X-Timeout-Seconds", "20")]).status == 200


# -- a crowd -----------------------------------------------------------------------------------------
class Held:
    """A network that waits for ``gate`` and notes the size of each batch."""

    def __init__(self, network: Callable[[Arrays], Arrays]) -> None:
        self.network, self.sizes, self.gate = network, list[int](), threading.Event()
        self.gate.set()  # open for the warm-up

    def __call__(self, arrays: Arrays) -> Arrays:
        self.sizes.append(len(arrays["image"]))
        self.gate.wait(60)
        return self.network(arrays)


@pytest.fixture
def held(lenet: Artifact, around: Any) -> Iterator[tuple[Held, Artifact]]:
    network = Held(lenet.network)
    yield network, around(lenet.task, network)
    network.gate.set()


async def occupied(client: Any, network: Held) -> Any:
    """A request that the network holds on to; all that come now have to queue."""
    network.gate.clear()
    before = len(network.sizes)
    task = asyncio.create_task(posting(client, RAMP.tolist()))
    await until(lambda: len(network.sizes) > before)
    return task


async def queued(client: Any, count: int) -> None:
    await until(lambda: len(client.app.batcher.queue) == count)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("this did not happen within ten seconds")


def pictures(count: int) -> list[list[list[int]]]:
    dice = np.random.default_rng(0)
    return dice.integers(0, 256, (count, 16, 16)).tolist()


def posting(client: Any, item: Any, **named: Any) -> Any:
    return client.ask("POST", "/predict", body=json.dumps(item).encode(), kind=JSON, **named)


def test_two_hundred_at_once_are_answered_in_batches(
    serve: Any, lenet: Artifact, held: Any, scraped: Any
) -> None:
    network, served = held
    client = serve(served)
    items = pictures(200)

    async def crowd() -> Any:
        first = await occupied(client, network)
        asked = [asyncio.create_task(posting(client, item)) for item in items]
        await queued(client, 200)
        network.gate.set()
        await first
        return await asyncio.gather(*asked)

    replies = client.run(crowd())
    single = [lenet.predict([item])[0] for item in items]
    assert all(r.status == 200 for r in replies)
    assert all(near(r.json(), one, 1e-6) for r, one in zip(replies, single, strict=True))
    assert network.sizes == [1, 1, 64, 64, 64, 8]  # the warm-up, the one that held it up, the crowd
    found = scraped(client)
    assert found["fathom_batch_size_sum"] == 201
    assert found['fathom_batch_size_bucket{le="1"}'] == 1 < found["fathom_batch_size_count"]
    assert found["fathom_requests_inside"] == 0


def test_a_large_request_is_cut_into_batches(serve: Any, lenet: Artifact, held: Any) -> None:
    network, served = held
    client = serve(served, batch=10, elements=256 * 4)
    items = pictures(9)
    answers = client.post({"items": items}).json()["items"]
    assert network.sizes[1:] == [4, 4, 1]
    assert all(near(a, lenet.predict([i])[0], 1e-6) for a, i in zip(answers, items, strict=True))
    client = serve(served, batch=3)
    raw = client.post(tensor(np.array(items)[:, None]), "/v2/models/stand-in/infer").json()["outputs"][0]
    assert network.sizes[-3:] == [3, 3, 3] and raw["shape"] == [9, 4]
    assert np.allclose(np.reshape(raw["data"], (9, 4)), [list(a["probabilities"].values()) for a in answers])


def test_items_and_tensors_do_not_mix(serve: Any, held: Any) -> None:
    network, served = held
    client = serve(served)

    async def crowd() -> Any:
        first = await occupied(client, network)
        raw = json.dumps(tensor(RAMP[None, None])).encode()
        asked = [first]
        for turn in range(9):
            path = "/v2/models/stand-in/infer"
            asking = posting(client, RAMP.tolist()) if turn < 5 else client.ask("POST", path, body=raw)
            asked.append(asyncio.create_task(asking))
            await queued(client, turn + 1)
        network.gate.set()
        return await asyncio.gather(*asked)

    replies = client.run(crowd())
    assert [r.status for r in replies] == [200] * 10
    assert network.sizes == [1, 1, 5, 4] and len({r.body for r in replies[6:]}) == 1


def test_a_full_server_refuses_before_reading_and_recovers(serve: Any, held: Any, scraped: Any) -> None:
    network, served = held
    client = serve(served, waiting=8)
    read: list[int] = []

    async def crowd() -> Any:
        first = await occupied(client, network)
        inside = [first, *(asyncio.create_task(posting(client, RAMP.tolist())) for _ in range(7))]
        await until(lambda: client.app.metrics.inside == 8)
        refused = [await client.ask("POST", "/predict", body=endless(read)) for _ in range(20)]
        probes = [await client.ask("GET", path) for path in ("/v2/health/ready", "/metrics", "/")]
        network.gate.set()
        return await asyncio.gather(*inside), refused, probes

    inside, refused, probes = client.run(crowd())
    assert [r.status for r in inside] == [200] * 8
    assert all(r.status == 503 and r.headers["retry-after"] == "1" for r in refused)
    assert not read
    assert [p.status for p in probes] == [200] * 3
    assert client.post(RAMP.tolist()).status == 200
    assert scraped(client)["fathom_requests_rejected_total"] == 20


def test_who_gives_up_or_runs_out_of_time_leaves_the_queue(serve: Any, held: Any, scraped: Any) -> None:
    network, served = held
    client = serve(served)

    async def crowd() -> Any:
        first = await occupied(client, network)
        gone = asyncio.Event()
        leaver = asyncio.create_task(posting(client, RAMP.tolist(), leave=gone))
        hasty = asyncio.create_task(posting(client, RAMP.tolist(), headers=[("X-Timeout-Seconds", "0.5")]))
        await queued(client, 2)
        late = await hasty
        gone.set()
        left = await leaver
        assert all(job.future.cancelled() for job in client.app.batcher.queue)
        network.gate.set()
        return late, left, await first

    late, left, first = client.run(crowd())
    assert late.status == 504 and "0.5 s" in late.json()["error"]
    assert left.status == 0  # nothing was sent
    assert first.status == 200
    assert client.post(RAMP.tolist()).status == 200
    assert network.sizes == [1, 1, 1]  # warm-up, the first, the last: the two others were never run
    assert scraped(client)["fathom_requests_inside"] == 0


def test_one_that_breaks_the_network_does_not_spoil_the_others(serve: Any, held: Any, capsys: Any) -> None:
    network, served = held
    inner = network.network

    def brittle(arrays: Arrays) -> Arrays:
        if (arrays["image"] == 77).all(axis=(1, 2, 3)).any():
            raise RuntimeError("secret words of the network")
        return inner(arrays)

    network.network = brittle
    client = serve(served)

    async def crowd() -> Any:
        first = await occupied(client, network)
        items = [RAMP.tolist()] * 5 + [np.full((16, 16), 77).tolist()] + [RAMP.tolist()] * 5
        asked = [asyncio.create_task(posting(client, item)) for item in items]
        await queued(client, 11)
        network.gate.set()
        await first
        return await asyncio.gather(*asked)

    replies = client.run(crowd())
    assert [r.status for r in replies] == [200] * 5 + [500] + [200] * 5
    told = replies[5].json()
    assert set(told) == {"error", "request"} and "secret" not in replies[5].body.decode()
    log = capsys.readouterr().err
    assert told["request"] in log and "secret words" in log  # the operator is told what the client is not


def test_answers_that_json_cannot_carry(serve: Any, held: Any) -> None:
    network, served = held
    network.network = lambda arrays: {"probabilities": np.full((len(arrays["image"]), 4), np.nan, np.float32)}
    served.task = dataclasses.replace(served.task)
    client = serve(served)
    for path, body in (("/predict", RAMP.tolist()), ("/v2/models/stand-in/infer", tensor(RAMP[None, None]))):
        reply = client.post(body, path)
        assert reply.status == 422 and "NaN or infinity" in reply.json()["error"]


def test_stopping_answers_what_is_inside(serve: Any, held: Any) -> None:
    network, served = held
    client = serve(served)

    async def crowd() -> Any:
        first = await occupied(client, network)
        asked = [asyncio.create_task(posting(client, RAMP.tolist())) for _ in range(70)]
        await queued(client, 70)
        stopping = asyncio.create_task(client.app.batcher.stop(30.0))
        await asyncio.sleep(0)
        network.gate.set()
        await stopping
        return await asyncio.gather(first, *asked)

    assert [r.status for r in client.run(crowd())] == [200] * 71


# -- what it says of itself ---------------------------------------------------------------------------
def test_not_ready_while_stopping(client: Any) -> None:
    client.app.draining = True
    for path in ("/v2/health/ready", "/v2/models/lenet/ready"):
        assert client("GET", path).status == 503
    assert client("GET", "/v2/health/live").status == 200
    reply = client.post(RAMP.tolist())
    assert reply.status == 200 and reply.headers["connection"] == "close"


def test_about(client: Any) -> None:
    told = client("GET", "/about").json()
    assert told["task"]["name"] == "image_classification" and told["version"] == "0123456789ab"
    assert client.post(told["example"]).status == 200
    for method, path, status in (("PUT", "/predict", 405), ("POST", "/", 405), ("GET", "/.env", 404)):
        assert client(method, path).status == status
    assert client("PUT", "/predict").headers["allow"] == "POST"


def test_metrics(client: Any, scraped: Any) -> None:
    for value in (RAMP.tolist(), RAMP.tolist(), None):
        client.post(value)
    client("GET", "/no/such/route")
    found = scraped(client)
    assert found['fathom_model_info{name="lenet",version="0123456789ab",backend="torch"}'] == 1
    assert found['fathom_requests_total{route="/predict",status="200"}'] == 2
    assert found['fathom_requests_total{route="/predict",status="400"}'] == 1
    assert found['fathom_requests_total{route="other",status="404"}'] == 1
    for name in ("request", "queue", "network"):
        counts = [v for k, v in found.items() if k.startswith(f"fathom_{name}_seconds_bucket")]
        assert counts == sorted(counts) and counts[-1] == found[f"fathom_{name}_seconds_count"]
    assert found["fathom_request_seconds_count"] == 3 and found["fathom_network_seconds_count"] == 2
