"""Extracts on a disk of this machine, wherever they landed: what reads them reads files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bioreactor_lake.errors import LakeError
from bioreactor_lake.landing.places import LandingPlace
from bioreactor_lake.landing.zone import LandedFile
from bioreactor_lake.sources.extracts import Extract


@contextmanager
def on_disk(
    place: LandingPlace, files: Mapping[str, LandedFile], extracts: Sequence[Extract], folder: Path
) -> Iterator[list[Extract]]:
    """Extracts with locations that are files, for as long as they are looked at.

    Args:
        place: Where they landed.
        files: Landed files by path, these among them.
        extracts: The extracts.
        folder: Has room for copies.

    Raises:
        LakeError: One cannot be read, or is another by now.
    """
    with ExitStack() as held:
        copies = []
        for extract in extracts:
            try:
                location = held.enter_context(place.on_disk(files[extract.path], folder))
            except OSError as error:
                raise LakeError(
                    f"The extract {extract.path} cannot be read: {error.strerror or error}.",
                    kept="Every table is as it was.",
                    next_step="Run again.",
                ) from error
            copies.append(replace(extract, location=str(location)))
        yield copies
