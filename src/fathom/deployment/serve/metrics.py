"""Counters and histograms in the Prometheus text format 0.0.4."""

import bisect
import threading
from collections.abc import Mapping, Sequence

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Histogram:
    """Counts of observations up to each bound."""

    def __init__(self, name: str, text: str, bounds: Sequence[int | float]) -> None:
        self.name, self.text, self.bounds = name, text, tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0
        self.lock = threading.Lock()

    def observe(self, value: int | float) -> None:
        with self.lock:
            self.counts[bisect.bisect_left(self.bounds, value)] += 1
            self.total += value

    def lines(self) -> list[str]:
        with self.lock:
            counts, total = list(self.counts), self.total
        out = [f"# HELP {self.name} {self.text}", f"# TYPE {self.name} histogram"]
        running = 0
        for bound, count in zip((*self.bounds, "+Inf"), counts, strict=True):
            running += count
            out.append(f'{self.name}_bucket{{le="{bound}"}} {running}')
        return [*out, f"{self.name}_sum {total:.6f}", f"{self.name}_count {running}"]


class Metrics:
    """What a server counts. Nothing of a request's content is kept."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)
        self.requests: dict[tuple[str, int], int] = {}
        self.rejected = 0
        self.inside = 0
        self.queue_seconds = Histogram("fathom_queue_seconds", "Time an item waits for the network.", SECONDS)
        self.network_seconds = Histogram("fathom_network_seconds", "Time of one batch.", SECONDS)
        self.total_seconds = Histogram("fathom_request_seconds", "Time of a whole request.", SECONDS)
        self.batch_size = Histogram("fathom_batch_size", "Items run together.", SIZES)

    def count(self, route: str, status: int) -> None:
        self.requests[route, status] = self.requests.get((route, status), 0) + 1

    def text(self) -> str:
        info = ",".join(f'{name}="{escape(value)}"' for name, value in self.labels.items())
        lines = [
            "# HELP fathom_model_info The model that answers.",
            "# TYPE fathom_model_info gauge",
            f"fathom_model_info{{{info}}} 1",
            "# HELP fathom_requests_total Requests by route and status.",
            "# TYPE fathom_requests_total counter",
        ]
        for (route, status), count in sorted(self.requests.items()):
            lines.append(f'fathom_requests_total{{route="{escape(route)}",status="{status}"}} {count}')
        lines += [
            "# HELP fathom_requests_rejected_total Requests turned away because the server was full.",
            "# TYPE fathom_requests_rejected_total counter",
            f"fathom_requests_rejected_total {self.rejected}",
            "# HELP fathom_requests_inside Requests that are being answered.",
            "# TYPE fathom_requests_inside gauge",
            f"fathom_requests_inside {self.inside}",
        ]
        for histogram in (self.queue_seconds, self.network_seconds, self.total_seconds, self.batch_size):
            lines += histogram.lines()
        return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
