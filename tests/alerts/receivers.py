"""Those who are alerted: a mail server that asks for a password, and a web server, as they behave and misbehave."""

from __future__ import annotations

import json
import socket
import threading
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

PASSWORD = "planted-mail-password"
TOKEN = "planted-hook-token"


class Webhook:
    """Keeps what it is sent; `answer` is the status that it gives, and after `delay` seconds."""

    def __init__(self) -> None:
        self.answer, self.delay = 200, 0.0
        self.got: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(receiver.delay)
                if receiver.answer == 200 and TOKEN in self.path:
                    receiver.got.append(json.loads(body))
                try:
                    self.send_response(receiver.answer)
                    self.end_headers()
                except OSError:
                    pass  # whoever asked did not wait

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"json://lake:planted-hook-password@127.0.0.1:{self._server.server_port}/{TOKEN}"

    @property
    def subjects(self) -> list[str]:
        return [message["title"] for message in self.got]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailServer:
    """Takes mail from whoever knows the password."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._controller = Controller(
            self, hostname="127.0.0.1", port=port, authenticator=self._check, auth_require_tls=False, auth_required=True
        )
        self._controller.start()
        self.url = f"mailto://lake-alerts:{PASSWORD}@127.0.0.1:{port}?from=lake@example.com&to=oncall@example.com"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.got.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    @staticmethod
    def _check(server: Any, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=right, handled=right)

    @property
    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.got]

    def close(self) -> None:
        self._controller.stop()
