"""Serving: latency and throughput beside a plain Starlette application, and behaviour under overload.

The plain application parses the picture and calls the same model in a thread for each request: what one
writes in an hour. The load comes from a process of its own over loopback, once as a closed loop (each client
waits for its answer) and once as an open loop (arrivals of a Poisson process, whether answered or not; time
runs from the planned arrival, so that a server which stalls is not spared the waiting it causes).

    python benchmarks/serving.py --seconds 5 --pairs 5 --threads 1
"""

import argparse
import asyncio
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pairs import keep, paired, shown, spread

RECIPE = "mnist"  # whose network is served; its weights do not matter here
CLIENTS = 32
OVERLOAD = 4.0  # times the peak
BATCH = 64  # items that the server runs together at most
MOST = 600  # requests that the generator has under way at once


# -- the load generator, in a process of its own ----------------------------------------------------
class Load:
    """Sends one request again and again over connections that stay open."""

    def __init__(self, port: int, body: bytes) -> None:
        self.port, self.free = port, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: image/png\r\n"
        self.request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.statuses: Counter[str] = Counter()
        self.times: dict[str, list[float]] = {}

    async def ask(self, began: float) -> None:
        """One request; its time runs from ``began``."""
        try:
            reader, writer = (
                self.free.pop() if self.free else await asyncio.open_connection("127.0.0.1", self.port)
            )
            writer.write(self.request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length
            await reader.readexactly(int(length[1]))
            status = head[9:12].decode()
            self.free.append((reader, writer))
        except (OSError, asyncio.IncompleteReadError) as error:
            status = type(error).__name__
        self.statuses[status] += 1
        self.times.setdefault(status, []).append(time.perf_counter() - began)

    async def closed(self, clients: int, seconds: float) -> None:
        """``clients`` that ask, wait, and ask again."""
        end = time.perf_counter() + seconds

        async def client() -> None:
            while time.perf_counter() < end:
                await self.ask(time.perf_counter())

        await asyncio.gather(*(client() for _ in range(clients)))

    async def open(self, rate: float, seconds: float) -> None:
        """``rate`` requests a second at random times, as long as no more than ``MOST`` are under way."""
        dice, began = random.Random(0), time.perf_counter()
        planned, tasks = began, set[asyncio.Task[None]]()
        while planned < began + seconds:
            planned += dice.expovariate(rate)
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
            if len(tasks) >= MOST:
                self.statuses["not sent"] += 1
                continue
            task = asyncio.create_task(self.ask(planned))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)


def generate(args: argparse.Namespace) -> None:
    """Run one load; prints its outcome as JSON."""
    load = Load(args.port, Path(args.body).read_bytes())
    began = time.perf_counter()
    if args.rate:
        asyncio.run(load.open(args.rate, args.seconds))
    else:
        asyncio.run(load.closed(args.clients, args.seconds))
    took = time.perf_counter() - began
    milliseconds = {s: [1000 * t for t in times] for s, times in load.times.items()}
    print(json.dumps({"seconds": took, "statuses": load.statuses, "milliseconds": milliseconds}))


# -- servers -----------------------------------------------------------------------------------------
def plain(args: argparse.Namespace) -> None:
    """The plain application: one route, no batches, no limits."""
    import torch
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from fathom.deployment.artifact import open_artifact
    from fathom.deployment.serve.server import open_socket

    torch.set_num_threads(args.threads)
    artifact = open_artifact(Path(args.folder))

    async def predict(request: Request) -> JSONResponse:
        data = await request.body()
        return JSONResponse((await run_in_threadpool(artifact.predict, [data]))[0])

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, http="h11"))
    listener = open_socket("127.0.0.1", 0)
    print(f"page     http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    asyncio.run(server.serve(sockets=[listener]))


@contextmanager
def running(*command: str, threads: int) -> Iterator[int]:
    """A server process; gives its port once it answers."""
    process = subprocess.Popen(
        [sys.executable, *command, "--threads", str(threads)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )  # fmt: skip
    try:
        assert process.stdout
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        assert found, f"{command} did not start"
        yield int(found[1])
    finally:
        process.terminate()
        process.wait(30)


# -- the measurements --------------------------------------------------------------------------------
def run_load(port: int, body: Path, seconds: float, *, clients: int = 1, rate: float = 0.0) -> dict[str, Any]:
    command = [sys.executable, __file__, "--as", "load", "--port", str(port), "--body", str(body)]
    command += ["--seconds", str(seconds), "--clients", str(clients), "--rate", str(rate)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def served(load: dict[str, Any]) -> float:
    """Good answers a second."""
    return load["statuses"].get("200", 0) / load["seconds"]


def quantile(load: dict[str, Any], share: float, status: str = "200") -> float:
    """Milliseconds within which ``share`` of the answers with ``status`` came."""
    times = sorted(load["milliseconds"].get(status, []))
    return times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")


def beside(
    what: str, goal: str, form: str, one: Callable[[int], float], ports: tuple[int, int], pairs: int
) -> tuple[dict[str, str], dict[str, Any]]:
    """A row that compares both servers, measured in turn."""
    found = paired(lambda: one(ports[0]), lambda: one(ports[1]), pairs)
    row = {
        "what": f"Serving `{RECIPE}`: {what}",
        "ours": spread(found["ours"], form),
        "other": f"plain Starlette {spread(found['other'], form)}",
        "ratio": shown(found),
        "goal": goal,
    }
    return row, found


def stress(port: int, body: Path, seconds: float, peak: float) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Our server alone: at 70 % of its peak, at four times its peak, and just after."""
    calm = run_load(port, body, seconds)
    busy = run_load(port, body, seconds, rate=0.7 * peak)
    flood = run_load(port, body, seconds, rate=OVERLOAD * peak)
    after = run_load(port, body, 2.0)
    bad = {s: n for s, n in busy["statuses"].items() if s != "200"}
    rows = [
        ("99 % of answers at 70 % of the peak, ms", quantile(busy, 0.99),
         5 * quantile(calm, 0.5) + 1000 * BATCH / peak, "5 medians of a lone client and a full batch",
         f"ratio <= 1; other than 200: {bad or 'none'}"),
        (f"good answers a second at {OVERLOAD:g} times the peak", served(flood), peak, "at the peak",
         "ratio >= 0.4 with the generator on the same cores"),
        (f"99 % of refusals at {OVERLOAD:g} times the peak, ms", quantile(flood, 0.99, "503"), 50.0, "limit",
         "ratio <= 1"),
        ("median of a lone client just after that, ms", quantile(after, 0.5), quantile(calm, 0.5), "before",
         "ratio <= 2"),
    ]  # fmt: skip
    shown_rows = [
        {"what": f"Serving `{RECIPE}`: {what}", "ours": f"{value:.1f}", "other": f"{other_name} {other:.1f}",
         "ratio": f"{value / other:.2f}", "goal": goal}
        for what, value, other, other_name, goal in rows
    ]  # fmt: skip
    loads = {"calm": calm, "busy": busy, "flood": flood, "after": after}
    brief = {
        name: {"statuses": load["statuses"], "seconds": load["seconds"], "p50": quantile(load, 0.5),
               "p99": quantile(load, 0.99)}
        for name, load in loads.items()
    }  # fmt: skip
    return shown_rows, brief


def prepared(folder: Path) -> Path:
    """An artifact of the recipe's network, untrained, in ``folder``; returns a picture to ask about."""
    import numpy as np
    from PIL import Image

    from fathom import catalog
    from fathom.deployment import artifact

    experiment: Any = catalog.recipe(RECIPE).load()()
    model = experiment.model.build()
    facts: dict[str, Any] = {"metrics": {}}
    artifact.write(
        folder, task=experiment.task, model=model, system=RECIPE, digest="0" * 64, name=RECIPE, facts=facts
    )
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (experiment.task.height, experiment.task.width))
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    body = folder / "picture.png"
    body.write_bytes(file.getvalue())
    return body


def measure(args: argparse.Namespace) -> None:
    rows, details = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = prepared(folder)
        ours = ["-m", "fathom", "serve", name, "--port", "0"]
        other = [__file__, "--as", "plain", "--folder", name]
        with running(*ours, threads=args.threads) as a, running(*other, threads=args.threads) as b:
            for what, goal, form, one in (
                ("median of a lone client, ms", "ratio <= 1.1", ".2f",
                 lambda port: quantile(run_load(port, body, args.seconds), 0.5)),
                (f"answers a second, {CLIENTS} clients", "ratio >= 1.3", ".0f",
                 lambda port: served(run_load(port, body, args.seconds, clients=CLIENTS))),
            ):  # fmt: skip
                row, found = beside(what, goal, form, one, (a, b), args.pairs)
                rows.append(row)
                details[what] = found
        with running(*ours, threads=args.threads) as port:
            peak = statistics.median(
                served(run_load(port, body, args.seconds, clients=CLIENTS)) for _ in range(3)
            )
            more, brief = stress(port, body, args.seconds, peak)
    keep("serving", rows + more, details | {"stress": brief, "threads": args.threads}, args.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of each server")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load; at most 60")
    parser.add_argument("--out", help="the result as JSON (default: benchmarks/results/serving.json)")
    parser.add_argument("--as", dest="role", choices=("load", "plain"), help=argparse.SUPPRESS)
    for name, kind in (("port", int), ("clients", int), ("rate", float), ("body", str), ("folder", str)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.seconds = min(args.seconds, 60.0)
    {"load": generate, "plain": plain, None: measure}[args.role](args)


if __name__ == "__main__":
    main()
