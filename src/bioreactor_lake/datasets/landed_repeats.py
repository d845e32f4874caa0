"""Landed files of which, of a reading that came more than once, the newest counts.

Which one that is follows from all landed files of a batch together, and from nothing that is kept: those that did not
change are read again when another one of their batch has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioreactor_lake.datasets.conversion import Conversion
from bioreactor_lake.datasets.landed_raw import Came
from bioreactor_lake.datasets.landing_zone import REJECTS
from bioreactor_lake.errors import LakeError
from bioreactor_lake.landing.zone import LandedFile
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.sql import literal, storable


@dataclass(frozen=True)
class Again:
    """A landed file that was read again for some of its batches.

    Args:
        came: What it has.
        source: Its source.
        batches: The batches.
    """

    came: Came
    source: str
    batches: Sequence[str]


def came_of(file: LandedFile, sha256: str, profile: Profile, location: Path) -> Came:
    """What a landed file has for raw files."""
    return Came(storable(file.path), sha256, profile.reader, location, bool(profile.newest))


def read_again(
    file: LandedFile, sha256: str, profile: Profile, batches: Sequence[str], conversion: Conversion, backend: Any
) -> Again:
    """Read a landed file once more.

    Args:
        file: The file.
        sha256: Of its bytes.
        profile: How it is read.
        batches: For which of its batches.
        conversion: Reads it.
        backend: DuckDB.

    Raises:
        LakeError: It cannot be read any more.
    """
    found = conversion.convert(file, sha256, profile)
    # What was rejected of it is known.
    backend.raw_sql(f"DELETE FROM {REJECTS} WHERE path = {literal(storable(file.path))}")
    if found.location is None:
        raise LakeError(
            f"The landed file {file.path} was read before and cannot be read now: {found.facts.get('reason')}.",
            kept="Nothing was changed.",
            next_step="Put it right, and run again; kedro run --params verify=true looks at all landed files.",
        )
    return Again(came_of(file, sha256, profile, found.location), file.source, batches)


def tell_of_repeats(count: int) -> str:
    """What a run says of readings that were left out."""
    return f"Repeated: {count:,} readings of landed files have come again since; the newest counts, by their profiles"
