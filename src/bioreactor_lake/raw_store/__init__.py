"""Where the raw files lie: a folder, or a bucket of an object store."""

from bioreactor_lake.raw_store.files import FoundFile, RawConfig, RawStore
from bioreactor_lake.raw_store.opening import open_store

__all__ = ["FoundFile", "RawConfig", "RawStore", "open_store"]
