"""What a landed file may be at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What a file may be at most.

    Args:
        bytes: Of text, unpacked.
        columns: Columns.
        batches: Batches in one file.
    """

    bytes: int = 4_000_000_000
    columns: int = 4_000
    batches: int = 10_000

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> Limits:
        """Build the limits; what is not said is the default."""
        return cls(**{name: int(value) for name, value in (config or {}).items()})
