"""Which landed files are which: their hashes, the profiles that read them, and what is news of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bioreactor_lake.datasets.landed_raw import LandedRaw
from bioreactor_lake.datasets.landing_zone import FACTS, Known
from bioreactor_lake.landing.ledger import Arrival
from bioreactor_lake.landing.places import LandingPlace
from bioreactor_lake.landing.zone import LandedFile, arrival_of
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.sources.extracts import READER, find_extract
from bioreactor_lake.sql import storable

Arrivals = Mapping[tuple[str, str], Arrival]


@dataclass
class Landed:
    """A landed file, and what is to become of it."""

    file: LandedFile
    sha256: str
    profile: Profile | None = None
    reason: str | None = None
    conversion: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    news: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What it is in the ledger."""
        return self.file.path, self.sha256

    def told(self, news: str) -> bool:
        """Keep what is news of it."""
        self.news = news
        return True


@dataclass(frozen=True)
class Foreseen:
    """What the next run would do with a landed file.

    Args:
        path: Its path under the landing zone.
        what: What is news of it.
        reader: Who would read it; empty where nobody would.
        batches: Batches whose raw files would be written.
    """

    path: str
    what: str
    reader: str
    batches: tuple[str, ...]


class Identification:
    """Tells landed files apart.

    Args:
        place: Where they are kept.
        verify: Whether they are hashed even where nothing points to a change.
    """

    def __init__(self, place: LandingPlace, *, verify: bool) -> None:
        self._place, self._verify = place, verify

    def identify(
        self, files: Sequence[LandedFile], known: Known, profiles: Mapping[str, Profile]
    ) -> tuple[list[Landed], Arrivals, list[Arrival]]:
        """Hash what is new, and find who reads it.

        Args:
            files: The files.
            known: What is known of the files that were there last time.
            profiles: The profiles.

        Returns:
            The files, all arrivals, and those that the ledger lacks.

        Raises:
            LakeError: The machine was at fault.
        """
        arrivals = self._place.read_ledger()
        landed = [self._identify(file, known.get(storable(file.path))) for file in files]
        new = [arrival_of(one.file, one.sha256) for one in landed if one.sha256 and one.key not in arrivals]
        arrivals |= {(arrival.path, arrival.sha256): arrival for arrival in new}
        for one in landed:
            _choose_profile(one, profiles)
        _set_duplicates_apart(landed, arrivals)
        return landed, arrivals, new

    def _identify(self, file: LandedFile, before: dict[str, Any] | None) -> Landed:
        if not file.is_regular:
            return Landed(file, "", reason="it is a link or no file at all: land the file itself")
        if (
            before is not None
            and before["settled"]
            and before["key"] == file.key
            and before["sha256"]
            and not self._verify
        ):
            return Landed(file, before["sha256"])
        try:
            return Landed(file, self._place.hash_content(file))
        except OSError as error:
            return Landed(
                file, "", reason=f"it cannot be read: {error.strerror or error}; check its permissions and the disk"
            )

    def find_stale(self, landed: Sequence[Landed], known: Known, raw: LandedRaw) -> list[Landed]:
        """The files of which something is news; `news` says what."""
        return [one for one in landed if self._is_stale(one, known.get(storable(one.file.path)), raw)]

    def _is_stale(self, one: Landed, before: dict[str, Any] | None, raw: LandedRaw) -> bool:
        if before is None:
            return one.told("new")
        if before["sha256"] != one.sha256:
            return one.told("changed")
        if before["conversion"] != one.conversion:
            return one.told("its profile reads it otherwise")
        if before["status"] == "missing":
            return one.told("there again")
        if before["status"] == "quarantined" and self._verify:
            return one.told("looked at again")
        if before["status"] == "read" and not all(raw.is_there(one.file.source, id_) for id_ in before["batch_ids"]):
            return one.told("a raw file of it is missing")
        if (before["key"], before["settled"]) != (one.file.key, one.file.settled):
            # Touched only: what is known of it stays, under its new key.
            one.facts |= {name: before[name] for name in FACTS if name not in ("key", "settled", "path")}
            one.facts["known"] = True
            return True
        return False


def _choose_profile(one: Landed, profiles: Mapping[str, Profile]) -> None:
    source, rest = one.file.source, one.file.path_in_source
    if one.reason is None and find_extract(one.file.path) is not None:
        one.conversion = _digest(one.file.path, one.sha256, READER)
        return
    fitting = [profile for profile in profiles.values() if profile.source == source and profile.fits(rest)]
    if one.reason is None and not source:
        one.reason = "it lies in no source's folder: kedro lake land FILE --source NAME"
    elif one.reason is None and not fitting:
        one.reason = f"no profile reads it: kedro lake profile {one.file.location} proposes one"
    if one.reason is None:
        one.profile = fitting[0]
        facts = [
            place.find(rest, {})
            for key in (one.profile.batch, one.profile.equipment, one.profile.site, one.profile.time.origin)
            for place in key
        ]
        one.conversion = _digest(one.sha256, one.profile.name, one.profile.digest, facts)
    else:
        one.conversion = _digest(one.sha256, one.reason)


def _set_duplicates_apart(landed: Sequence[Landed], arrivals: Arrivals) -> None:
    """Of files that would become the same rows, the one that came first is read."""
    first: dict[str, str] = {}
    for one in sorted(landed, key=lambda one: (arrivals[one.key].arrived_at if one.sha256 else "", one.file.path)):
        if one.reason is not None:
            continue
        other = first.setdefault(one.conversion, one.file.path)
        if other != one.file.path:
            one.reason = f"it is the same file as {other}"
            one.facts["status"] = "duplicate"
            one.conversion = _digest(one.conversion, "duplicate")


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
