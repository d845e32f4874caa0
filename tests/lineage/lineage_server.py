"""A lineage server that judges events as Marquez 0.51 does, and tells more than Marquez would.

Marquez stores what it can and says little: an event may be answered 201 and still lose the edges of a job, or show a
dataset twice. `refusals` are events that it answers with an error; `losses` are sentences about events that it
accepts.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, NoReturn, Self

from event_refusals import UNREADABLE, find_refusal
from run_losses import RunLosses

STORED = 201
PATH = "/api/v1/lineage"


class Refused(NamedTuple):
    """An event that was answered with an error; `event` is its text where it could not be parsed."""

    status: int
    reason: str
    event: Any


class Marquez:
    """The judgement without HTTP: events in their order, what was refused, what is lost."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.refusals: list[Refused] = []
        self._losses = RunLosses()
        self._lock = threading.Lock()

    @property
    def losses(self) -> list[str]:
        """What the graph loses or doubles; runs that are still open count once their parent's ended."""
        with self._lock:
            return self._losses.sentences()

    @property
    def problems(self) -> list[str]:
        """Refusals and losses."""
        return [f"{one.status} {one.reason}" for one in self.refusals] + self.losses

    def judge(self, event: Any) -> tuple[int, str]:
        """Take an event: 201 and nothing, or the status and the reason of a refusal."""
        with self._lock:
            if refusal := find_refusal(event):
                self.refusals.append(Refused(*refusal, event))
                return refusal
            self.events.append(event)
            self._losses.add(event)
            return STORED, ""

    def judge_text(self, text: str | bytes) -> tuple[int, str]:
        """Take an event as it is sent; NaN and Infinity are no JSON."""
        try:
            event = json.loads(text, parse_constant=_refuse_constant)
        except ValueError as error:  # also text that is no UTF-8
            with self._lock:
                self.refusals.append(Refused(UNREADABLE, f"no JSON: {error}", text))
            return UNREADABLE, f"no JSON: {error}"
        return self.judge(event)


class LineageServer(Marquez):
    """`with LineageServer() as server:` listens on 127.0.0.1; `server.url` is what OPENLINEAGE_URL takes."""

    def __init__(self) -> None:
        super().__init__()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def judge(event: Any) -> tuple[int, str]:
    """How Marquez answers one event: its status, and why it refuses."""
    return find_refusal(event) or (STORED, "")


def check(events: Iterable[Any]) -> None:
    """Fail if Marquez refused one of these events or lost something of them.

    Args:
        events: Events in the order in which they are sent, parsed or as lines of JSON.

    Raises:
        AssertionError: It did; the text names each case.
    """
    marquez = Marquez()
    for event in events:
        if isinstance(event, str | bytes):
            marquez.judge_text(event)
        else:
            marquez.judge(event)
    assert not marquez.problems, "\n".join(marquez.problems)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _handler_of(marquez: Marquez) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # clients keep their connection

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != PATH:
                self._answer(404, f"events go to {PATH}")
            elif self.headers.get_content_type() != "application/json":
                self._answer(415, "events are application/json")
            else:
                is_packed = self.headers.get("Content-Encoding") == "gzip"
                self._answer(*marquez.judge_text(gzip.decompress(body) if is_packed else body))

        def do_GET(self) -> None:
            self._answer(404, "only POST is answered")

        def _answer(self, status: int, reason: str) -> None:
            text = json.dumps({"code": status, "message": reason}).encode() if reason else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
