"""An HTTP server for lineage events that behaves well or badly, as it is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LineageServer:
    """Listens on a free port of its own; `behaviour` may change at any time.

    accept, hang, 400 and other codes, die (it has the event, and says so in half a word), slow:<seconds>.
    """

    def __init__(self) -> None:
        self.behaviour = "accept"
        self.refused_jobs: set[str] = set()
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.requests = 0
        self._free = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def numbers(self) -> list[int]:
        """The numbers of the events that were taken, in order."""
        return [int(event["job"]["name"].rpartition(".")[2]) for event in self.received]

    def start(self) -> LineageServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that was killed

        self._free.clear()
        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._free.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        event = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        self.requests += 1
        self.headers.append(dict(handler.headers))
        behaviour = self.behaviour
        if behaviour == "hang":
            self._free.wait()
            handler.close_connection = True
            return
        if behaviour.startswith("slow:"):
            time.sleep(float(behaviour[5:]))
        code = int(behaviour) if behaviour.isdigit() else 201
        if event["job"]["name"] in self.refused_jobs:
            code = 400
        if code < 300:
            self.received.append(event)
        if behaviour == "die":
            handler.wfile.write(b"HTTP/1")
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
