"""A real S3 server that checks credentials, and a way to it that counts requests and can be cut."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

KEY, SECRET = "lake-reader", "a-secret-that-is-planted"


def free_ports(count: int) -> list[int]:
    """Ports that are free together with the ones 10,000 above, which the server takes for itself."""
    found: list[int] = []
    choice = Random()
    while len(found) < count:
        # Below the ports that the kernel gives to whoever asks for any.
        port = choice.randrange(10_100, 19_900)
        if port in found:
            continue
        with suppress(OSError):
            for candidate in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", candidate))
            found.append(port)
    return found


class Server:
    """SeaweedFS with one identity and one bucket, on 127.0.0.1."""

    BUCKET = "lake"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        identity = {
            "name": "lake",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        config = folder / "identities.json"
        config.write_text(json.dumps({"identities": [identity]}))
        master, volume, filer, self.port = free_ports(4)
        weed = Path(sys.executable).parent / "weed"
        command = [
            str(weed), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}",
            "-s3", f"-s3.port={self.port}", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false",
        ]  # fmt: skip
        self._log = (folder / "weed.log").open("w")
        self._process = subprocess.Popen(command, cwd=folder, stdout=self._log, stderr=self._log)
        self._folder = folder

    def wait(self) -> None:
        """Until its bucket can be written to."""
        client = connect(self.port)
        for _ in range(120):
            with suppress(Exception):
                client.create_bucket(Bucket=self.BUCKET)
            with suppress(Exception):
                client.put_object(Bucket=self.BUCKET, Key="ready", Body=b"1")
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.5)
        raise RuntimeError((self._folder / "weed.log").read_text()[-3000:])

    def stop(self) -> None:
        self._process.kill()  # asked politely, it takes twenty seconds
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def connect(port: int, key: str = KEY, secret: str = SECRET):
    import botocore.session
    from botocore.config import Config

    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


_REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n")


@dataclass
class Way:
    """A port that leads to the server, notes each request, and can be cut.

    `cut_after` is the number of bytes that an answer to a GET of an object may have before the line goes dead; None
    for no limit. The next `failing` requests whose paths contain `failing_at` are answered with `answer`.
    """

    target: int
    requests: list[tuple[str, str]] = field(default_factory=list)
    cut_after: int | None = None
    failing: int = 0
    failing_at: str = ""
    answer: str = "503 Service Unavailable"

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def of_objects(self) -> list[tuple[str, str]]:
        """Requests that are no listing: method and key."""
        return [(method, path) for method, path in self.requests if "list-type=2" not in path]

    def listings(self) -> int:
        return len(self.requests) - len(self.of_objects())

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                for method, path in _REQUEST.findall(data):
                    self.requests.append((method.decode(), path.decode()))
                    if self.failing and self.failing_at in path.decode():
                        self.failing -= 1
                        client.sendall(f"HTTP/1.1 {self.answer}\r\nContent-Length: 0\r\n\r\n".encode())
                        break
                else:
                    server.sendall(data)
        _end(client, server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        sent = 0
        with suppress(OSError):
            while data := server.recv(65536):
                if self.cut_after is not None:
                    data = data[: max(0, self.cut_after - sent)]
                    sent += len(data)
                    client.sendall(data)
                    if sent >= self.cut_after:
                        break
                else:
                    client.sendall(data)
        _end(server, client)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
