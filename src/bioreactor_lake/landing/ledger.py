"""The ledger of the landing zone: what came, when, from whom. Lines are added to it and never changed.

It lies beside the originals and not in the warehouse, which may be deleted: when a file came and who brought it follows
from nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from bioreactor_lake.errors import LakeError

LEDGER = "ledger.jsonl"


@dataclass(frozen=True)
class Arrival:
    """One version of a landed file.

    Args:
        path: Its path under the landing zone, which begins with its source.
        sha256: Of its bytes.
        size_bytes: Its size.
        arrived_at: When the lake took it in or first saw it, UTC.
        arrived_by: Who landed it; of a file that was put there by other means, its owner.
        how: `landed` by the command, `synced` from a source, or `found` in the folder.
        run_id: The run that brought it, if one did.
    """

    path: str
    sha256: str
    size_bytes: int
    arrived_at: str
    arrived_by: str
    how: str
    run_id: str = ""

    @property
    def source(self) -> str:
        """The folder that it lies in."""
        return self.path.partition("/")[0]


def parse_ledger(lines: Iterable[str]) -> dict[tuple[str, str], Arrival]:
    """Arrivals by path and hash; of one that is told twice, the first. Lines that are cut off are passed over."""
    found: dict[tuple[str, str], Arrival] = {}
    for line in lines:
        try:
            arrival = Arrival(**json.loads(line))
            datetime.fromisoformat(arrival.arrived_at)
        except (TypeError, ValueError):
            continue
        found.setdefault((arrival.path, arrival.sha256), arrival)
    return found


def spell_arrivals(arrivals: Iterable[Arrival]) -> str:
    """Arrivals as lines of a ledger."""
    return "".join(json.dumps(asdict(arrival)) + "\n" for arrival in arrivals)


class Ledger:
    """The ledger of a landing zone.

    Args:
        root: The landing zone.
    """

    def __init__(self, root: Path) -> None:
        self._file = root / LEDGER

    def read(self) -> dict[tuple[str, str], Arrival]:
        """All arrivals by path and hash; of one that is told twice, the first.

        A line that a crash has cut off is passed over: its file is found again.

        Raises:
            LakeError: It cannot be read.
        """
        try:
            with self._file.open(encoding="utf-8", errors="replace") as lines:
                return parse_ledger(lines)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._failed("read", error) from error

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Write arrivals down, all or none of them, after whatever is there.

        Raises:
            LakeError: It cannot be written.
        """
        text = spell_arrivals(arrivals)
        if not text:
            return
        try:
            with self._file.open("ab+") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                end = stream.seek(0, os.SEEK_END)
                if end:
                    stream.seek(end - 1)
                    text = text if stream.read(1) == b"\n" else "\n" + text
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._failed("written", error) from error

    def _failed(self, what: str, error: OSError) -> LakeError:
        return LakeError(
            f"The ledger {self._file} cannot be {what}: {error.strerror}.",
            kept="Every table is as it was.",
            next_step="Give this user the right to write the landing zone, and make room on its disk.",
        )
