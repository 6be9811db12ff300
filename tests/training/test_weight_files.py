"""Published weights from a server of this machine: whole, cut, wrong, slow, absent, changed, by a proxy."""

import hashlib
import io
import itertools
import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fathom.architectures.convolutional import resnet
from fathom.data import download as download_module
from fathom.errors import InputError
from fathom.training import weight_files
from fathom.training.weights import load_weights, upstream_state

SMALL = resnet.Config(depths=(1, 1), width=8, classes=5)  # of the published layout, with four shapes of layer
PREPROCESSING = {"resize": 36, "crop": 32, "interpolation": "bilinear", "mean": (0.5,), "deviation": (0.2,)}


def published_bytes() -> bytes:
    """A file as torchvision writes them, with random weights."""
    torch.manual_seed(3)
    model = SMALL.build()
    torch.nn.init.normal_(model.head.bias)
    written = io.BytesIO()
    torch.save(upstream_state(model, resnet.UPSTREAMS["torchvision"]), written)
    return written.getvalue()


BODY = published_bytes()
DIGEST = hashlib.sha256(BODY).hexdigest()
NAME = f"small-{DIGEST[:8]}.pth"


class Server(ThreadingHTTPServer):
    """Answers by the first part of the path; notes what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Any

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        span = self.headers.get("Range")
        self.server.asked.append((self.path, span))
        first = int(span[6:-1]) if span else 0
        kind = "good" if self.path.startswith("http:") else self.path.split("/")[1]  # whole: by a proxy
        if kind == "missing":
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = BODY[::-1] if kind == "wrong" else BODY
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        stop = {"cut": len(BODY) // 2, "broken": first + 10_000}.get(kind, len(BODY))
        step = 8_000 if kind == "slow" else len(BODY)
        for start in range(first, stop, step):
            self.wfile.write(body[start : min(stop, start + step)])
            if kind == "slow":
                threading.Event().wait(0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, a size of the test's own, and no pauses between tries."""
    monkeypatch.setattr(weight_files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(weight_files, "download", partial(download_module.download, pause=0.0, timeout=10.0))
    monkeypatch.setitem(resnet.SIZES, "small", SMALL)
    monkeypatch.setitem(resnet.WEIGHTS, "small", {})
    monkeypatch.delenv("FATHOM_DATA", raising=False)


@pytest.fixture
def unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in this process, where a test is not about reading; a child would import torch first."""

    def read(source: Path, draft: Path) -> None:
        state = torch.load(source, weights_only=True)
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, draft)

    monkeypatch.setattr(weight_files, "read_tensors", read)


def publish(address: str, **changes: Any) -> None:
    """Put the file into the system's table, with the facts that torchvision tells of its own."""
    facts = {
        "upstream": "torchvision", "address": f"{address}/{NAME}", "sha256": DIGEST[:8],
        "mebibytes": round(len(BODY) / 2**20, 3), "licence": "none", "accuracy": {},
        "preprocessing": PREPROCESSING,
    }  # fmt: skip
    resnet.WEIGHTS["small"]["RANDOM_V1"] = facts | changes


def make(weights: Any = "RANDOM_V1", classes: int = 5) -> resnet.ResNet:
    return resnet.published("small", weights, classes, 3)


def assert_published(model: resnet.ResNet) -> None:
    theirs = torch.load(io.BytesIO(BODY), weights_only=True)
    for name, tensor in upstream_state(model, resnet.UPSTREAMS["torchvision"]).items():
        assert torch.equal(tensor, theirs[name]), name


def kept(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "cache").iterdir() if p.name != ".lock")


def test_by_name_fetched_converted_kept_and_a_head_of_ones_own(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(f"{server.address}/good")
    model = make(classes=7)
    assert server.asked == [(f"/good/{NAME}", None)]
    assert kept(tmp_path) == [f"{DIGEST}.json", f"{DIGEST}.safetensors"]  # the torch file is not needed now
    report: Any = model.load_report
    assert set(report.new) == {"head.weight", "head.bias"} and not report.left
    assert model.preprocessing == PREPROCESSING and model.head.out_features == 7
    shown = capsys.readouterr().err
    assert f"fetching {server.address}/good/{NAME}" in shown and "new: head.weight" in shown
    assert_published(make())


def test_used_again_without_a_network(server: Server, unconfined: None) -> None:
    publish(f"{server.address}/good")
    make()
    server.asked.clear()
    resnet.WEIGHTS["small"]["RANDOM_V1"]["address"] = f"http://127.0.0.1:1/{NAME}"
    assert_published(make())
    assert not server.asked


def test_cut_short_is_refused_kept_and_taken_up_later(
    server: Server, tmp_path: Path, unconfined: None
) -> None:
    publish(f"{server.address}/cut")
    with pytest.raises(InputError, match=r"ended early.*are kept and the next try goes on"):
        make()
    half = len(BODY) // 2
    assert kept(tmp_path) == [f"{NAME}.part"]
    assert (tmp_path / "cache" / f"{NAME}.part").stat().st_size == half
    publish(f"{server.address}/good")
    assert_published(make())
    assert server.asked[-1] == (f"/good/{NAME}", f"bytes={half}-")


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server: Server, unconfined: None) -> None:
    publish(f"{server.address}/broken")
    assert_published(make())
    assert [span for _, span in server.asked][:3] == [None, "bytes=10000-", "bytes=20000-"]


def test_a_whole_file_that_an_earlier_process_left_is_not_fetched_again(
    server: Server, tmp_path: Path, unconfined: None
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{NAME}.part").write_bytes(BODY)
    publish(f"{server.address}/good")
    assert_published(make())
    assert not server.asked


def test_a_wrong_hash_is_refused(server: Server, tmp_path: Path) -> None:
    publish(f"{server.address}/wrong")
    with pytest.raises(
        InputError, match=rf"SHA-256 [0-9a-f]{{64}}, not {DIGEST[:8]}\.\.\.; it was thrown away"
    ):
        make()
    assert kept(tmp_path) == []


def test_slow_arrives_and_too_slow_is_left(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unconfined: None
) -> None:
    publish(f"{server.address}/slow")
    hours = itertools.count(0, 3600)  # an hour goes by between any two looks at the clock
    clock = SimpleNamespace(monotonic=lambda: next(hours), sleep=lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr(download_module, "time", clock)
        patch.setattr(weight_files, "download", partial(download_module.download, attempts=1))
        with pytest.raises(InputError, match="bytes a second arrive"):
            make()
    assert_published(make())


def test_not_there_is_said_with_the_address(server: Server, tmp_path: Path) -> None:
    publish(f"{server.address}/missing")
    with pytest.raises(InputError, match=f"/missing/{NAME}: the server answers 404"):
        make()
    assert len(server.asked) == 1 and kept(tmp_path) == []


def test_a_file_of_another_size_is_refused(server: Server) -> None:
    publish(f"{server.address}/good", mebibytes=round(len(BODY) / 2**20 - 0.01, 3))
    with pytest.raises(InputError, match="this is another file"):
        make()


def test_through_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch, unconfined: None) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.delenv("no_proxy", raising=False)
    publish("http://weights.invalid")
    assert_published(make())
    assert server.asked == [(f"http://weights.invalid/{NAME}", None)]


def test_another_file_at_the_same_address_is_noticed(
    server: Server, tmp_path: Path, unconfined: None
) -> None:
    """The published digits agree, the whole hash of the first fetch does not."""
    publish(f"{server.address}/good")
    make()
    first = DIGEST[:8] + "0" * 56
    (tmp_path / "cache" / f"{DIGEST}.json").rename(tmp_path / "cache" / f"{first}.json")
    (tmp_path / "cache" / f"{DIGEST}.safetensors").unlink()
    with pytest.raises(InputError, match=rf"another file than on 20.*SHA-256 {DIGEST}, then {first}"):
        make()
    assert kept(tmp_path) == [f"{first}.json"]


def test_damage_in_the_cache_is_noticed_and_mended(
    server: Server, tmp_path: Path, unconfined: None, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(f"{server.address}/good")
    make()
    file = tmp_path / "cache" / f"{DIGEST}.safetensors"
    damaged = bytearray(file.read_bytes())
    damaged[-5] ^= 1
    file.write_bytes(damaged)
    assert_published(make())
    assert "is damaged and is made again" in capsys.readouterr().err and len(server.asked) == 2


def test_a_folder_of_ones_own_comes_before_the_network(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unconfined: None
) -> None:
    (tmp_path / "brought" / "weights").mkdir(parents=True)
    file = tmp_path / "brought" / "weights" / NAME
    monkeypatch.setenv("FATHOM_DATA", str(tmp_path / "brought"))
    publish(f"{server.address}/good")
    file.write_bytes(BODY[::-1])
    with pytest.raises(InputError, match=rf"is not the published file.*not {DIGEST[:8]}\.\.\."):
        make()
    file.write_bytes(BODY)
    assert_published(make())
    assert not server.asked and file.is_file()


def test_a_cache_that_cannot_be_written_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder", encoding="utf-8")
    publish(f"{server.address}/good")
    with pytest.raises(InputError, match="cannot be made"):
        make()


@pytest.mark.parametrize("given", ["RANDOM_V2", "random", "IMAGENET"])
def test_an_unknown_name_gets_the_nearest_and_what_there_is(given: str) -> None:
    publish("http://127.0.0.1:1")
    resnet.WEIGHTS["small"]["OTHER_V1"] = {}
    with pytest.raises(InputError, match=rf"named '{given}'.*RANDOM_V1.*path of a file"):
        make(given)
    with pytest.raises(InputError, match="did you mean 'RANDOM_V1'"):
        make("RANDOM_V2")


def test_a_path_that_leads_nowhere_is_said(tmp_path: Path) -> None:
    publish("http://127.0.0.1:1")
    with pytest.raises(InputError, match=r"no weights .*none\.pth.*by name there is RANDOM_V1"):
        make(str(tmp_path / "none.pth"))
    (tmp_path / "notes.txt").write_text("?", encoding="utf-8")
    with pytest.raises(InputError, match=r"notes\.txt is not opened: give a \.safetensors"):
        make(tmp_path / "notes.txt")


def test_a_torch_file_goes_through_the_confined_reader_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.pth").write_bytes(BODY)
    model = make(tmp_path / "mine.pth")
    assert_published(model)
    assert model.preprocessing is None  # nobody has said how its pictures were prepared
    assert "as by `fathom import`, and kept" in capsys.readouterr().err
    monkeypatch.setattr(weight_files, "read_tensors", None)  # not needed the second time, under any name
    shutil.copy(tmp_path / "mine.pth", tmp_path / "again.pt")
    publish("http://127.0.0.1:1")
    model = make(str(tmp_path / "again.pt"))
    assert_published(model)
    assert model.preprocessing == PREPROCESSING  # it is the published file, by its hash


def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(b"\x80\x04not a file of torch")
    with pytest.raises(InputError, match="is not a plain state dict of tensors"):
        make(tmp_path / "x.pth")
    assert kept(tmp_path) == []


def test_half_precision_and_wrappers_are_taken(tmp_path: Path) -> None:
    """Two of torchvision's files hold 16-bit numbers; DataParallel puts "module." before every name."""
    theirs = torch.load(io.BytesIO(BODY), weights_only=True)
    half = {f"module.{n}": t.half() if t.is_floating_point() else t for n, t in theirs.items()}
    model = SMALL.build()
    load_weights(model, half, head=(), upstreams=resnet.UPSTREAMS)
    assert model.head.weight.dtype == torch.float32
    assert torch.equal(model.head.weight, theirs["fc.weight"].half().float())


def test_a_state_dict_can_be_rewritten_before_its_names_are_mapped() -> None:
    theirs = torch.load(io.BytesIO(BODY), weights_only=True)
    odd = {n.replace("fc.", "classifier."): t for n, t in theirs.items()}

    def before(state: Any) -> dict[str, torch.Tensor]:
        return {n.replace("classifier.", "fc."): t for n, t in state.items()}

    model = SMALL.build()
    load_weights(model, odd, head=(), upstreams=resnet.UPSTREAMS, before=before)
    assert_published(model)


def test_a_record_that_cannot_be_read_counts_as_none(
    tmp_path: Path, server: Server, unconfined: None
) -> None:
    publish(f"{server.address}/good")
    make()
    (tmp_path / "cache" / f"{DIGEST}.json").write_text("{", encoding="utf-8")
    assert_published(make())
    record = json.loads((tmp_path / "cache" / f"{DIGEST}.json").read_text(encoding="utf-8"))
    assert record["source"] == f"{server.address}/good/{NAME}" and len(server.asked) == 2
