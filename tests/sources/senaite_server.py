"""A server that answers as SENAITE's JSON API does: it pages, limits, fails, and gives nothing for a wrong password."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

ROUTE = "/senaite/@@API/senaite/v1/search"


class Senaite:
    """The server's records, the faults that it is about to have, and what it was asked."""

    def __init__(self) -> None:
        self.user, self.password = "lab", "planted-s3cret-of-senaite"
        self.items: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.asked: list[tuple[float, dict[str, str]]] = []
        self.next_host: str | None = None
        self.endless: str | None = None
        self.url = ""

    def add(self, portal_type: str, uid: str, modified: str, **fields: Any) -> None:
        """Add a record or replace the one of the same uid."""
        self.items = [item for item in self.items if item["uid"] != uid]
        self.items.append({"uid": uid, "portal_type": portal_type, "modified": modified, **fields})

    def answer(self, asked: dict[str, str], authorization: str | None) -> dict[str, Any]:
        expected = "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()
        found = [item for item in self.items if item["portal_type"] == asked["portal_type"]]
        if since := asked.get("modified_since"):
            found = [item for item in found if item["modified"] >= since]
        if authorization != expected:
            found = []
        start, limit = int(asked.get("b_start", 0)), int(asked.get("limit", 25))
        following = None
        if start + limit < len(found):
            following = f"{self.next_host or self.url}{ROUTE}?{urlencode({**asked, 'b_start': start + limit})}"
        if self.endless == "same":
            following = f"{self.url}{ROUTE}?{urlencode({**asked, 'b_start': limit})}"
        elif self.endless == "on and on":
            following = f"{self.url}{ROUTE}?{urlencode({**asked, 'b_start': start + limit})}"
        page = found[start : start + limit]
        return {"count": len(found), "pagesize": limit, "items": page, "next": following, "_runtime": time.time()}


@contextmanager
def serving(senaite: Senaite) -> Iterator[Senaite]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            senaite.asked.append((time.monotonic(), asked))
            fault = senaite.faults.pop(0) if senaite.faults else ""
            if fault == "dropped":
                self.connection.close()
                return
            body = json.dumps(senaite.answer(asked, self.headers.get("Authorization"))).encode()
            status = int(fault) if fault.isdigit() else 200
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            # A connection that is lost within an answer.
            self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
            self.close_connection = True

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    senaite.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield senaite
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
