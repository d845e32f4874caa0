"""The bytes of a landed file, unpacked where it is compressed, and never more of them than are allowed."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


def open_text_bytes(location: Path, most_bytes: int) -> BinaryIO:
    """The bytes of a text file; gzip is unpacked on the way.

    Args:
        location: The file.
        most_bytes: As many as are read of it before it is refused.

    Raises:
        UnreadableFile: It is no text file by its first bytes.
        OSError: It cannot be read.
    """
    stream = location.open("rb")
    start = stream.read(4)
    stream.seek(0)
    if start == _ZIP:
        stream.close()
        raise UnreadableFile("it is a zip file or a workbook, and no text", next_step="unpack it, or use excel")
    packed = start[:2] == _GZIP
    inner = cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if packed else cast(BinaryIO, stream)
    return cast(BinaryIO, io.BufferedReader(_Bounded(inner, most_bytes), 1 << 18))


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than so many bytes."""

    def __init__(self, inner: BinaryIO, most_bytes: int) -> None:
        self._inner, self._most, self._given = inner, most_bytes, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._inner.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UnreadableFile(f"it cannot be unpacked ({error})", next_step="copy it again") from error
        self._given += len(data)
        if self._given > self._most:
            raise UnreadableFile(
                f"it holds more than {self._most:,} bytes when it is unpacked",
                next_step="split it, or raise limits.bytes of landing_zone in conf/base/catalog.yml",
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()
