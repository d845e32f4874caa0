"""A lake whose raw files are objects of a bucket."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import duckdb
import duckdb_extension_httpfs
import pyarrow as pa
import pyarrow.parquet as pq
from s3_server import KEY, SECRET
from tests.increments import lake
from tests.increments.lake import Lake

Reading = tuple[str, str, str, datetime, float | None]
NAMES = ("batch_id", "equipment_id", "tag", "ts", "value")


def as_parquet(rows: list[Reading]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(NAMES)}), out)
    return out.getvalue()


class BucketLake(Lake):
    """Raw files below a prefix of a bucket, and a folder that holds the same files."""

    def __init__(self, folder: Path, server: str, client: Any, bucket: str) -> None:
        super().__init__(folder, server)
        self.client, self.bucket, self.prefix = client, bucket, f"{uuid4().hex}/raw/"
        self.copies = self.raw
        self.raw = f"s3://{bucket}/{self.prefix}".rstrip("/")

    def write(self, path: str, content: bytes) -> None:
        """Put an object, and the same file into the folder."""
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=content)
        copy = self.copies / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)

    def remove(self, path: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + path)
        (self.copies / path).unlink()

    def fresh(self) -> Lake:
        """A lake that was never run, over the folder."""
        other = Lake(self.folder.with_name(f"{self.folder.name}-local"), self.server)
        other.raw.rmdir()
        other.raw = self.copies
        return other

    def content(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.copies.rglob("*") if path.is_file()}

    def assert_equals_fresh_build(self) -> None:
        """But for content hashes, which are ETags, and for what only a folder or only a bucket can hold."""
        manifest = lake.MANIFEST.replace("content_hash, ", "").replace("IN ('accepted', 'quarantined')", "= 'accepted'")
        with patch.object(lake, "MANIFEST", manifest):
            super().assert_equals_fresh_build()

    def open_warehouse(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(self.warehouse, read_only=True)
        (extension,) = Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension")
        connection.execute(f"LOAD '{extension}'")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}', URL_STYLE 'path', USE_SSL false, "
            f"ENDPOINT '{self.client.meta.endpoint_url.removeprefix('http://')}')"
        )
        return connection
