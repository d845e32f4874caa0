"""The store that a configuration names."""

from __future__ import annotations

from pathlib import Path

from bioreactor_lake.errors import UsageError
from bioreactor_lake.raw_store.files import RawConfig, RawStore
from bioreactor_lake.raw_store.folder import Folder


def open_store(config: RawConfig) -> RawStore:
    """The folder or bucket that holds the raw files.

    Raises:
        UsageError: The path is a URL of another kind than s3, or names no bucket.
        LakeError: What reads object stores is not installed.
    """
    scheme, separator, _ = config["path"].partition("://")
    if not separator:
        return Folder(Path(config["path"]))
    if scheme != "s3":
        raise UsageError(
            f"Raw files cannot be read from {scheme}:// addresses.",
            next_step="Set BIOREACTOR_LAKE_RAW to a folder or to s3://bucket/prefix.",
        )
    from bioreactor_lake.raw_store.bucket import Bucket

    return Bucket(config)
