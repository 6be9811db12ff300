"""Greedy batching: what has queued up while one batch runs is the next batch.

No request waits for company, so a lone client sees the latency of the network and nothing else; under
load batches grow by themselves. One thread runs the network.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fathom.deployment.artifact import Artifact
from fathom.deployment.serve.limits import Limits, Refused
from fathom.deployment.serve.metrics import Metrics
from fathom.task import Arrays


@dataclass(eq=False)
class Job:
    """Items to answer, or arrays to run, and the promise of a result."""

    payload: Any  # list of decoded items, or Arrays
    tensors: bool
    future: asyncio.Future[Any]
    deadline: float
    queued: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        return len(next(iter(self.payload.values()))) if self.tensors else len(self.payload)

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
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self.worker: asyncio.Task[None] | None = None
        self.joinable = not hasattr(artifact.task, "collate")  # rows of different requests may be stacked

    def start(self) -> None:
        self.worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Finish what is queued, then end."""
        while self.queue:
            await asyncio.sleep(0.005)
        if self.worker:
            self.worker.cancel()
        self.thread.shutdown(wait=True)

    async def answer(self, items: Sequence[Arrays], seconds: float) -> list[dict[str, Any]]:
        """Answers for decoded items."""
        return await self._submit(list(items), False, seconds)

    async def run(self, arrays: Arrays, seconds: float) -> Arrays:
        """Output tensors for input tensors."""
        return await self._submit(arrays, True, seconds)

    async def _submit(self, payload: Any, tensors: bool, seconds: float) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.queue.append(Job(payload, tensors, future, time.monotonic() + seconds))
        self.wake.set()
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            raise Refused(504, f"no answer within {seconds:.1f} s") from None

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.wake.wait()
            jobs = self._take()
            if not jobs:
                self.wake.clear()
                continue
            began = time.monotonic()
            for job in jobs:
                self.metrics.queue_seconds.observe(began - job.queued)
            self.metrics.batch_size.observe(sum(j.size for j in jobs))
            try:
                results = await loop.run_in_executor(self.thread, self._execute, jobs)
            except Exception as error:  # one bad batch must not end the worker
                results = [error] * len(jobs)
            self.metrics.network_seconds.observe(time.monotonic() - began)
            for job, result in zip(jobs, results, strict=True):
                if job.future.done():
                    continue
                if isinstance(result, Exception):
                    job.future.set_exception(result)
                else:
                    job.future.set_result(result)

    def _take(self) -> list[Job]:
        """The next jobs of one kind, up to the batch limit; what nobody waits for any more is dropped."""
        jobs: list[Job] = []
        size = 0
        while self.queue:
            job = self.queue[0]
            if job.future.done() or job.deadline < time.monotonic():
                self.queue.popleft()
                continue
            alone = job.tensors and not self.joinable
            if jobs and (job.kind != jobs[0].kind or alone or size + job.size > self.limits.batch):
                break
            jobs.append(self.queue.popleft())
            size += job.size
        return jobs

    def _execute(self, jobs: list[Job]) -> list[Any]:
        """Run the jobs together; if that fails, each alone, so that one cannot spoil the others."""
        try:
            return self._together(jobs)
        except Exception as error:
            if len(jobs) == 1:
                return [error]
            return [self._execute([job])[0] for job in jobs]

    def _together(self, jobs: list[Job]) -> list[Any]:
        sizes = [j.size for j in jobs]
        cuts = np.cumsum(sizes)[:-1]
        if jobs[0].tensors:
            joined = {n: np.concatenate([j.payload[n] for j in jobs]) for n in jobs[0].payload}
            outputs = self.artifact.network(joined)
            if len(jobs) == 1:
                return [outputs]
            pieces = {n: np.split(v, cuts) for n, v in outputs.items()}
            return [{n: p[i] for n, p in pieces.items()} for i in range(len(jobs))]
        answers = self.artifact.respond([item for j in jobs for item in j.payload])
        ends = [0, *np.cumsum(sizes).tolist()]
        return [answers[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
