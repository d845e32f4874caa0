"""HTTP of a watch: /healthz, /readyz and /metrics, for whoever looks after it."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bioreactor_lake.cli.watch.metrics import Metrics
from bioreactor_lake.cli.watch.state import WatchState
from bioreactor_lake.errors import UsageError

_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def serve(state: WatchState, host: str, port: int) -> ThreadingHTTPServer:
    """Answer from threads of their own, until `shutdown`.

    Args:
        state: What is known.
        host: The address; loopback unless somebody wants to be seen.
        port: 0 for any that is free.

    Raises:
        UsageError: The address is not to be had.
    """
    try:
        server = ThreadingHTTPServer((host, port), _handler(state, Metrics(state)))
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened at: {error.strerror}.",
            next_step="Name another with --port (0 takes any that is free), or in conf/*/parameters_watch.yml.",
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def _handler(state: WatchState, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # who says nothing is let go of
        server_version, sys_version = "lake", ""

        def do_GET(self) -> None:
            code, kind, text = _answer(self.path.partition("?")[0], state, metrics)
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
            """Say nothing: it is asked every few seconds."""

    return Handler


def _answer(path: str, state: WatchState, metrics: Metrics) -> tuple[int, str, bytes]:
    if path == "/metrics":
        return 200, _METRICS, metrics.exposition()
    if path not in ("/healthz", "/readyz"):
        return 404, _TEXT, b"There are /healthz, /readyz and /metrics.\n"
    why_not = state.why_not_healthy(time.monotonic()) if path == "/healthz" else state.why_not_ready()
    return (503 if why_not else 200), _TEXT, f"{why_not or 'ok'}\n".encode()
