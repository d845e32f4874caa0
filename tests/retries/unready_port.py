"""A port that leads to a Postgres server, turns the first callers away, and is slow."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class UnreadyPort:
    """Counts its callers; the first `refusing` of them find the line closed. What is sent takes `delay` seconds."""

    def __init__(self, target: int, refusing: int = 0, delay: float = 0) -> None:
        self.target, self.refusing, self.delay = int(target), refusing, delay
        self.callers, self.delayed = 0, 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.callers += 1
                if self.callers <= self.refusing:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.target))
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self.delay)
                self.delayed += self.delay
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
