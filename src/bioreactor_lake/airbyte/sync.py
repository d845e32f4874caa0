"""A sync of a connection: its streams are extracted by a process of PyAirbyte's environment, and land."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bioreactor_lake.airbyte.connections import Connection, name_folder
from bioreactor_lake.errors import LakeError, LockedError
from bioreactor_lake.landing.places import LandingPlace
from bioreactor_lake.lineage.redaction import redact
from bioreactor_lake.postgres.locks import exclusively
from bioreactor_lake.virtual_environment import ensure_environment, variables_for_others

_EXTRACT = Path(__file__).with_name("extract.py")
_SHOWN = 600


@dataclass(frozen=True)
class Extracted:
    """What a sync brought of a stream.

    Args:
        stream: The stream.
        path: Where it landed, under the landing zone; empty where nothing was new.
        records: How many records it has.
    """

    stream: str
    path: str
    records: int


@dataclass(frozen=True)
class Sync:
    """Syncs of a connection.

    Args:
        connection: The connection.
        folder: Of PyAirbyte and its connectors; that of the connection, with state and log, is in it.
        lock: Names, versions and hashes of PyAirbyte's packages.
        zone: Where it lands.
    """

    connection: Connection
    folder: Path
    lock: Path
    zone: LandingPlace

    def run(self, say: Callable[[str], None], *, full: bool = False) -> list[Extracted]:
        """Extract what is new, and land it.

        What was extracted is kept until it has landed: after a crash it lands with the next sync.

        Args:
            say: Tells people what takes its time.
            full: Whether to extract everything anew.

        Raises:
            LakeError: It failed; what landed before stays.
        """
        own = self.folder / "connections" / self.connection.name
        if not self.lock.is_file():
            raise LakeError(
                f"{self.lock} is not there, by which PyAirbyte would be installed.",
                kept="Nothing landed.",
                next_step="Run this where the project is.",
            )
        own.mkdir(parents=True, exist_ok=True)
        for private in (self.folder, own):
            private.chmod(0o700)
        try:
            with exclusively(own / "lock", 1.0):
                return self._run(own, say, full=full)
        except LockedError as error:
            raise LakeError(
                f"Another sync of {self.connection.name} is under way.",
                kept="Nothing was changed by this one.",
                next_step="Wait for it to end.",
            ) from error

    def _run(self, own: Path, say: Callable[[str], None], *, full: bool) -> list[Extracted]:
        python = ensure_environment("PyAirbyte", self.folder / "venv", self.lock, say)
        executable = self.connection.executable
        if self.connection.requirements is not None:
            place = self.folder / "connectors" / self.connection.connector
            executable = ensure_environment(
                self.connection.connector, place, self.connection.requirements, say
            ).with_name(self.connection.connector)
            if not executable.is_file():
                raise LakeError(
                    f"{self.connection.requirements} installs no program {self.connection.connector}.",
                    kept="Nothing landed.",
                    next_step="Correct connector or requirements in conf/*/airbyte.yml.",
                )
        # The connector gets its configuration as a file, so the folder is private and goes.
        with tempfile.TemporaryDirectory(prefix=".sync-", dir=own) as between:
            task = {
                "connector": self.connection.connector,
                "executable": str(executable),
                "config": self.connection.config,
                "streams": list(self.connection.streams),
                "cache": str((own / "cache.duckdb").resolve()),
                "into": str(Path(between).resolve() / "extracted"),
                "full": full,
            }
            with _extracting(python, Path(between), own / "sync.log", self.connection.secrets) as process:
                if (answer := _ask(process, json.dumps(task))) is not None:
                    landed = self._land(json.loads(answer), own / "landed.json")
                    _ask(process, "landed")
            if answer is None:
                raise self._failed(own / "sync.log")
            return landed

    def _land(self, extracted: list[dict[str, Any]], memory: Path) -> list[Extracted]:
        digests = json.loads(memory.read_text()) if memory.exists() else {}
        now = time.time()
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y_%m_%d_") + str(int(now * 1000))
        found = []
        for one in extracted:
            stream, records = one["stream"], one["records"]
            folder = f"{self.connection.source}/{name_folder(stream)}"
            whole = one["mode"] == "full_refresh"
            path = f"{folder}/all.parquet" if whole else f"{folder}/{stamp}_0.parquet"
            there = self.zone.has(path)
            if whole and not records and there:
                raise LakeError(
                    f"The stream {stream} of {self.connection.name} is empty, and was not before.",
                    kept="What landed of it stays.",
                    next_step=f"Find out why. If it is meant, delete {path} from the landing zone.",
                )
            if not records or (whole and there and digests.get(stream) == one["digest"]):
                found.append(Extracted(stream, "", records))
                continue
            self.zone.land_as(path, Path(one["file"]))
            digests[stream] = one["digest"]
            memory.write_text(json.dumps(digests))
            found.append(Extracted(stream, path, records))
        return found

    def _failed(self, log: Path) -> LakeError:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        told = next((line for line in reversed(lines) if "Error" in line or "no stream" in line), "")
        return LakeError(
            f"The sync of {self.connection.name} failed: {(told or ' '.join(lines[-3:]))[-_SHOWN:]}",
            kept="What landed before stays, and the next sync goes on where the last good one ended.",
            next_step=f"Read the end of {log}.",
        )


@contextmanager
def _extracting(python: Path, between: Path, log: Path, secrets: frozenset[str]) -> Iterator[subprocess.Popen[str]]:
    """The process; what it says goes into the log, without secrets."""
    for name in ("home", "tmp", "logs"):
        (between / name).mkdir()
    variables = {
        **variables_for_others("AIRBYTE_"),
        # Else it would ask Airbyte's registry, and tell Airbyte of each sync.
        "AIRBYTE_OFFLINE_MODE": "1",
        "DO_NOT_TRACK": "1",
        "AIRBYTE_TEMP_DIR": str(between / "tmp"),
        "AIRBYTE_LOGGING_ROOT": str(between / "logs"),
        "AIRBYTE_CACHE_ROOT": str(between / "home"),
        "HOME": str(between / "home"),
        "TMPDIR": str(between / "tmp"),
        "NO_COLOR": "1",
    }
    said = between / "said"
    with said.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own environment
            [str(python), "-I", str(_EXTRACT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=variables,
            cwd=between,
            text=True,
        )
        try:
            yield process
            process.communicate()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            log.write_text(redact(said.read_text(errors="replace"), secrets))


def _ask(process: subprocess.Popen[str], line: str) -> str | None:
    """What it answers to a line; None where it has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    return process.stdout.readline() or None
