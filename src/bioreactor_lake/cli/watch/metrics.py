"""A watch's metrics, as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bioreactor_lake.cli.watch.state import WatchState

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Metrics(Collector):
    """What a watch knows, at the moment in which it is asked.

    Args:
        state: What it knows.
    """

    def __init__(self, state: WatchState) -> None:
        self._state = state
        self._registry = CollectorRegistry()
        self._durations = Histogram(
            "lake_run_duration_seconds", "How long runs took", buckets=_SECONDS, registry=self._registry
        )
        self._registry.register(self)

    def exposition(self) -> bytes:
        """All of them in Prometheus's text format."""
        with self._state.lock:
            seconds, self._state.run_seconds = self._state.run_seconds, []
        for one in seconds:
            self._durations.observe(one)
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """As Prometheus's client asks for them."""
        state, now = self._state, time.time()
        ready = not state.why_not_ready()
        with state.lock:
            numbers, runs = {**state.numbers}, {**state.runs}
            waiting, starts, since = state.unfinished, state.worker_starts, state.running_since
            success = state.last_success
        counted = CounterMetricFamily("lake_runs", "Runs of this watch by how they ended", labels=["status"])
        for status, count in runs.items():
            counted.add_metric([status], count)
        yield counted
        yield CounterMetricFamily("lake_worker_starts", "Processes started to run in", starts)
        for name, about, label in (
            ("rows", "Rows of each table, view and mart", "table"),
            ("batches", "Batches of each table and mart", "table"),
        ):
            yield _by(f"lake_{name}", about, label, numbers.get(name, {}))
        newest, done = numbers.get("newest", {}), numbers.get("up_to_date", {})
        ages = {layer: max(0.0, now - at) for layer, at in newest.items()}
        yield _by("lake_staleness_seconds", "Age of the newest reading of each layer", "layer", ages)
        yield _by("lake_up_to_date_timestamp_seconds", "When a run last brought each layer up to date", "layer", done)
        for name, about, value in (
            ("lake_raw_files", "Raw files that are accepted", numbers.get("files")),
            ("lake_quarantined_files", "Raw files that cannot be read", numbers.get("quarantined")),
            ("lake_held_batches", "Batches that are held back from the marts", numbers.get("held")),
            ("lake_unfinished_files", "Raw files that are waited for to be whole", waiting),
            ("lake_ready", "Whether the last run was well and the next one can begin", int(ready)),
            ("lake_run_in_progress_seconds", "How long the run under way has taken", now - since if since else 0),
            ("lake_last_success_timestamp_seconds", "When a run of this watch last succeeded", success),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, about, value)


def _by(name: str, about: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
