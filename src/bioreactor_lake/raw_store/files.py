"""Raw files as they are found, and what every place that holds them can do."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypedDict


class RawConfig(TypedDict, total=False):
    """Where the raw files lie.

    Args:
        path: A folder, or `s3://bucket/prefix`.
        endpoint_url: Of a store other than AWS, such as MinIO; null for what the AWS configuration says.
        region: Null for what the AWS configuration says.
        path_style: Whether the bucket stands in the path of a URL rather than in its host; null for true where an
            endpoint is given.
        ca_bundle: File of the authorities that the store's certificate is checked by; null for what the AWS
            configuration says (AWS_CA_BUNDLE), or those that everybody trusts.
        credentials: `key`, `secret` and `token`; where they are empty, the AWS chain is asked (environment, profile,
            role of the container or machine).
    """

    path: str
    endpoint_url: str | None
    region: str | None
    path_style: bool | None
    ca_bundle: str | None
    credentials: Mapping[str, str | None]


@dataclass
class FoundFile:
    """A raw file as it was found, and what was found in it.

    Args:
        path: Its path under the root.
        location: Its full path or URL, as DuckDB names it.
        key: What points to a change without reading the file.
        size_bytes: Its size.
        modified_at: When it was last written, UTC.
        settled: Whether a change after this moment would show in the key.
        facts: Columns of the manifest.
        known: Whether what is in it was taken over from the manifest.
        as_before: Whether nothing at all is new about it.
    """

    path: str
    location: str
    key: str
    size_bytes: int
    modified_at: datetime
    settled: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    known: bool = False
    as_before: bool = False

    @property
    def to_read(self) -> bool:
        """Whether it has to be read, and nothing was found yet that keeps it from being read."""
        return not self.known and self.facts.get("reason") is None


class RawStore(Protocol):
    """A place of raw files."""

    root: str
    """The folder or URL that all paths lie under, without a slash at its end."""

    def find_files(self, ignore: Sequence[str] = ()) -> list[FoundFile]:
        """Every raw file, in order of their paths, from one listing.

        Args:
            ignore: Name patterns of files to pass over.

        Raises:
            LakeError: The place is not there or cannot be listed.
        """

    def hash_content(self, file: FoundFile) -> str:
        """What tells one content of a file from any other.

        Raises:
            OSError: The file cannot be read.
        """

    def current_keys(self, paths: Sequence[str]) -> dict[str, str]:
        """The keys that files have now, by path; without those that are gone."""

    def read_start(self, file: FoundFile, length: int) -> bytes:
        """The first bytes of a file.

        Raises:
            OSError: The file cannot be read.
        """

    def is_unfinished(self, path: str, patience_seconds: float) -> bool:
        """Whether somebody is still at work on a file: it is not whole, and was written not long ago.

        Args:
            path: Its path under the root.
            patience_seconds: How long after the last write that is believed.
        """

    def prepare(self, backend: Any, *, remember: bool) -> None:
        """Enable a DuckDB connection to read the files.

        Args:
            backend: The connection.
            remember: Whether what a file was like may be kept for the life of the connection.
        """


def is_raw_file(path: str, ignore: Sequence[str]) -> bool:
    """Whether a path under the root names a raw file: neither it nor a folder of it is hidden by `.` or `_`.

    >>> is_raw_file("2026/_tmp/B-1.parquet", []), is_raw_file("B-1.parquet.part", ["*.part"])
    (False, False)
    """
    *folders, name = path.split("/")
    hidden = any(part.startswith((".", "_")) for part in (*folders, name))
    return bool(name) and not hidden and not any(fnmatch.fnmatch(name, pattern) for pattern in ignore)
