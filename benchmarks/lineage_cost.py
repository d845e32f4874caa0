"""What lineage costs a run: told to a file, to a server that answers, to one that is down, and to one that hangs."""

from __future__ import annotations

import argparse
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from measuring import Bench, Lake
from raw_batches import Batches

OFF = "lineage off"
WAYS = (OFF, "to a file", "to a server", "to a dead server", "to a hanging one")


class Answering(BaseHTTPRequestHandler):
    """Answers every event as Marquez does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def servers() -> Iterator[dict[str, dict[str, str]]]:
    """The variables of each way."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as answering, socket.socket() as hanging:
        answering.daemon_threads = True
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        hanging.bind(("127.0.0.1", 0))
        hanging.listen(128)  # connections are taken and never answered
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            dead = probe.getsockname()[1]
        ports = (answering.server_port, dead, hanging.getsockname()[1])
        urls = [{"OPENLINEAGE_URL": f"http://127.0.0.1:{port}"} for port in ports]
        yield dict(zip(WAYS, ({"OPENLINEAGE_DISABLED": "true"}, {}, *urls), strict=True))
        answering.shutdown()


def lineage_cost(bench: Bench, results: Any, base: Path, options: argparse.Namespace) -> None:
    """Full builds with lineage off and on, then runs with nothing new in each way; interleaved."""
    raw = bench.folder / "raw_lineage"
    Batches(base, raw).add(options.batches)
    lakes: dict[str, Lake] = {way: bench.lake(raw, f"lineage_{number}") for number, way in enumerate(WAYS[:2])}
    with servers() as variables:
        for _ in range(options.repeat):
            for way, lake in lakes.items():
                lake.start_over(bench.url)
                results[f"{way}, full build"].costs.append(bench.kedro(lake, **variables[way]))
        idle = lakes[OFF]
        for way in WAYS:
            bench.kedro(idle, **variables[way])
        for _ in range(2 * options.repeat):
            for way in WAYS:
                (bench.folder / "project/data/lineage/outbox.sqlite").unlink(missing_ok=True)
                results[f"{way}, nothing new"].costs.append(bench.kedro(idle, **variables[way]))


def rows(results: Any) -> Iterator[tuple[str, list[float], float | None]]:
    """What the report says of it: the ratio of full builds, and the seconds more of runs with nothing new."""
    on, off = results["to a file, full build"], results[f"{OFF}, full build"]
    yield "lineage to a file / off, full build", [on.of(c) / off.of(c) for c in ("cpu", "wall")], 1.05
    for way, target in zip(WAYS[1:], (0.35, 0.35, 2.0, 2.0), strict=True):
        some, none = results[f"{way}, nothing new"], results[f"{OFF}, nothing new"]
        yield f"seconds more, lineage {way}, nothing new", [some.of(c) - none.of(c) for c in ("cpu", "wall")], target
