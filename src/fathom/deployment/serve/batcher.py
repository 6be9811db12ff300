"""Greedy batching: what has queued up while one batch runs is the next batch.

No request waits for company, so a lone client sees the latency of the network and nothing else; under
load batches grow by themselves. One thread runs the network. A request that is cancelled, because its
client went away or its time is up, leaves the queue.
"""

import asyncio
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from fathom.deployment.artifact import Artifact
from fathom.deployment.serve.limits import Limits, Refused
from fathom.deployment.serve.metrics import Metrics
from fathom.errors import InputError
from fathom.task import Arrays


@dataclass(eq=False)
class Job:
    """Items to answer, or arrays to run, and the promise of a result."""

    payload: Any  # list of decoded items, or Arrays
    tensors: bool
    future: asyncio.Future[Any]
    queued: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        return len(next(iter(self.payload.values()))) if self.tensors else len(self.payload)

    @property
    def elements(self) -> int:
        return elements([self.payload] if self.tensors else self.payload)

    @property
    def kind(self) -> Any:
        """Jobs of one kind run together."""
        if not self.tensors:
            return "items"
        return tuple((n, a.shape[1:]) for n, a in sorted(self.payload.items()))


class Batcher:
    """The queue before one artifact."""

    def __init__(self, artifact: Artifact, limits: Limits, metrics: Metrics) -> None:
        self.artifact, self.limits, self.metrics = artifact, limits, metrics
        self.queue: deque[Job] = deque()
        self.wake = asyncio.Event()
        self.rests = asyncio.Event()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self.worker: asyncio.Task[None] | None = None
        self.joinable = not hasattr(artifact.task, "collate")  # rows of different requests may be stacked

    def start(self) -> None:
        self.worker = asyncio.create_task(self._work())

    async def stop(self, seconds: float) -> None:
        """Finish what is queued, for ``seconds`` at most, then end."""
        if self.worker:
            self.rests.clear()
            self.wake.set()  # the worker looks at the queue, and rests when it is empty
            try:
                await asyncio.wait_for(self.rests.wait(), seconds)
            except TimeoutError:
                print("the network did not end in time", file=sys.stderr)
            self.worker.cancel()
            self.worker = None
        self.thread.shutdown(wait=False, cancel_futures=True)

    async def answer(self, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        """Answers for decoded items."""
        return await self._submit(list(items), False)

    async def run(self, arrays: Arrays) -> Arrays:
        """Output tensors for input tensors."""
        return await self._submit(arrays, True)

    async def _submit(self, payload: Any, tensors: bool) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.queue.append(Job(payload, tensors, future))
        self.wake.set()
        return await future

    async def _work(self) -> None:
        while True:
            await self.wake.wait()
            jobs = self._take()
            if jobs:
                await self._run(jobs)
            else:
                self.wake.clear()
                self.rests.set()

    async def _run(self, jobs: list[Job]) -> None:
        began = time.monotonic()
        for job in jobs:
            self.metrics.queue_seconds.observe(began - job.queued)
        results = await asyncio.get_running_loop().run_in_executor(self.thread, self._execute, jobs)
        self.metrics.network_seconds.observe(time.monotonic() - began)
        for job, result in zip(jobs, results, strict=True):
            if job.future.done():
                continue
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)

    def _take(self) -> list[Job]:
        """The next jobs of one kind, up to the limits of a batch; what nobody waits for is dropped."""
        jobs: list[Job] = []
        size = count = 0
        while self.queue:
            job = self.queue[0]
            if job.future.done():
                self.queue.popleft()
                continue
            size, count = size + job.size, count + job.elements
            alone = job.tensors and not self.joinable
            full = size > self.limits.batch or count > self.limits.elements
            if jobs and (full or alone or job.kind != jobs[0].kind):
                break
            jobs.append(self.queue.popleft())
        return jobs

    # -- in the network's thread ------------------------------------------------------------------
    def _execute(self, jobs: list[Job]) -> list[Any]:
        """Run the jobs together; if that fails, each alone, so that one cannot spoil the others."""
        try:
            return self._tensors(jobs) if jobs[0].tensors else self._items(jobs)
        except Exception as error:  # a bad request must not end the worker
            if len(jobs) > 1:
                return [self._execute([job])[0] for job in jobs]
            if not jobs[0].tensors or isinstance(error, InputError | MemoryError):
                return [error]
            traceback.print_exc()  # tensors come as they are: what fails on them is mostly their values
            return [Refused(422, "the network cannot run on these tensors")]

    def _tensors(self, jobs: list[Job]) -> list[Arrays]:
        if len(jobs) == 1 and not self.joinable:
            self.metrics.batch_size.observe(jobs[0].size)
            return [self.artifact.network(jobs[0].payload)]
        joined = {n: np.concatenate([j.payload[n] for j in jobs]) for n in jobs[0].payload}
        pieces: list[Arrays] = []
        count = sum(j.size for j in jobs)
        for first in range(0, count, self.limits.batch):
            piece = {n: a[first : first + self.limits.batch] for n, a in joined.items()}
            self.metrics.batch_size.observe(min(self.limits.batch, count - first))
            pieces.append(self.artifact.network(piece))
        outputs = {n: np.concatenate([p[n] for p in pieces]) for n in pieces[0]}
        ends = np.cumsum([j.size for j in jobs])[:-1]
        split = {n: np.split(value, ends) for n, value in outputs.items()}
        return [{n: parts[i] for n, parts in split.items()} for i in range(len(jobs))]

    def _items(self, jobs: list[Job]) -> list[list[dict[str, Any]]]:
        answers: list[dict[str, Any]] = []
        for part in self._parts([item for job in jobs for item in job.payload]):
            self.metrics.batch_size.observe(len(part))
            answers += self.artifact.respond(part)
        ends = [0, *np.cumsum([j.size for j in jobs]).tolist()]
        return [answers[start:end] for start, end in pairwise(ends)]

    def _parts(self, items: list[Arrays]) -> Iterator[list[Arrays]]:
        """``items`` in order, in runs within the limits of a batch: one request may bring more than that."""
        part: list[Arrays] = []
        count = 0
        for item in items:
            count += elements([item])
            if part and (len(part) == self.limits.batch or count > self.limits.elements):
                yield part
                part, count = [], elements([item])
            part.append(item)
        yield part


def elements(items: Sequence[Arrays]) -> int:
    """How many numbers the arrays hold together."""
    return sum(array.size for item in items for array in item.values())
