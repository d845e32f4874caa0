"""How landed files become raw files: which are new, by which profile each is read, and whose rows go."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bioreactor_lake.datasets import warehouse
from bioreactor_lake.datasets.conversion import Conversion, Converted, Reader
from bioreactor_lake.datasets.extracted_records import describe_extract
from bioreactor_lake.datasets.landed_homes import open_home
from bioreactor_lake.datasets.landed_identity import Arrivals, Foreseen, Identification, Landed
from bioreactor_lake.datasets.landed_raw import Came, LandedRaw, NotOurs, name_raw_file
from bioreactor_lake.datasets.landed_repeats import Again, came_of, read_again, tell_of_repeats
from bioreactor_lake.datasets.landing_zone import Known, ReadProfiles
from bioreactor_lake.lake.runs import current_run
from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.landing.places import LandingPlace
from bioreactor_lake.sources.extracts import find_extract
from bioreactor_lake.sql import storable


class LandedReading:
    """Reads the landing zone once.

    Args:
        place: Where they are kept.
        config: Of the warehouse.
        limits: What a file may be.
        backend: DuckDB.
        reader: The rules by which cells become readings.
    """

    def __init__(
        self, place: LandingPlace, config: warehouse.WarehouseConfig, limits: Limits, backend: Any, reader: Reader
    ) -> None:
        self._place, self._config, self._limits = place, config, limits
        self._backend, self._reader = backend, reader
        self._run = current_run()
        verify = self._run is not None and self._run.verify
        self._identification = Identification(place, verify=verify)
        self._emptied: list[str] = []
        warehouse_file = Path(config["filepath"])
        self._beside, self._prefix = warehouse_file.parent, f".{warehouse_file.name}.landing-"

    def read(self, known: Known, read_profiles: ReadProfiles) -> tuple[list[dict[str, Any]], list[str]]:
        """Read what is new.

        Args:
            known: What is known of the files that were there last time.
            read_profiles: Reads the profiles.

        Returns:
            Rows of which something is news, and the raw files that went because nothing has rows for them.

        Raises:
            LakeError: The machine was at fault, or a profile is not understood.
        """
        files = self._place.find_files()
        if not files and not known:
            return [], []
        profiles = read_profiles()
        # What a run that was killed has left: nobody else has this warehouse open.
        for left in self._beside.glob(f"{glob.escape(self._prefix)}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=self._prefix, dir=self._beside) as folder:
            raw = LandedRaw(self._backend, open_home(self._config["raw"], Path(folder)))
            raw.delete_parts({file.source for file in files})
            landed, arrivals, new = self._identification.identify(files, known, profiles)
            self._place.add_to_ledger(new)
            withdrawn = self._withdrawn(known, landed)
            stale = self._identification.find_stale(landed, known, raw)
            conversion = Conversion(self._backend, self._reader, self._limits, Path(folder), self._place)
            converted = {
                one.file.path: conversion.convert(one.file, one.sha256, one.profile)
                for one in stale
                if one.profile is not None and one.reason is None and "known" not in one.facts
            }
            again = self._read_again(landed, stale, converted, known, withdrawn, conversion)
            self._write_raw(stale, converted, known, withdrawn, raw, again)
            for one in stale:
                if (extract := find_extract(one.file.path)) is not None and one.reason is None:
                    one.facts |= describe_extract(self._backend, self._place, one.file, extract, Path(folder))
        for one in stale:
            if (found := converted.get(one.file.path)) is not None:
                one.facts |= found.facts
        rows = [
            *(self._row(one, arrivals, known.get(storable(one.file.path))) for one in stale),
            *self._gone(known, landed, withdrawn),
        ]
        return rows, self._emptied

    def foresee(self, known: Known, read_profiles: ReadProfiles) -> list[Foreseen]:
        """What `read` would do. Files of which something is news are read, nothing is written.

        Args:
            known: As for `read`.
            read_profiles: As for `read`.

        Raises:
            LakeError: As for `read`.
        """
        files = self._place.find_files()
        if not files and not known:
            return []
        with tempfile.TemporaryDirectory() as folder:
            raw = LandedRaw(self._backend, open_home(self._config["raw"], Path(folder)))
            landed, _, _ = self._identification.identify(files, known, read_profiles())
            stale = self._identification.find_stale(landed, known, raw)
            conversion = Conversion(self._backend, self._reader, self._limits, Path(folder), self._place)
            found = []
            for one in stale:
                before = known.get(storable(one.file.path)) or {}
                if "known" in one.facts:
                    continue
                facts, reader = one.facts, ""
                if one.profile is not None and one.reason is None:
                    facts, reader = conversion.convert(one.file, one.sha256, one.profile).facts, one.profile.reader
                reason = facts.get("reason") or one.reason
                batches = [] if reason else [*(facts.get("batch_ids") or ()), *(before.get("batches_in_raw") or ())]
                is_duplicate = one.facts.get("status") == "duplicate"
                what = f"not read again: {reason}" if is_duplicate else f"quarantined: {reason}" if reason else one.news
                found.append(Foreseen(one.file.path, what, "" if reason else reader, tuple(dict.fromkeys(batches))))
        there = {storable(one.file.path) for one in landed}
        gone = [path for path, row in known.items() if path not in there and row["status"] != "missing"]
        return [*found, *(Foreseen(path, "missing, its rows stay", "", ()) for path in gone)]

    def _write_raw(
        self,
        stale: Sequence[Landed],
        converted: Mapping[str, Converted],
        known: Known,
        withdrawn: Sequence[dict[str, Any]],
        raw: LandedRaw,
        again: Sequence[Again],
    ) -> None:
        """Write the raw files of all batches concerned, each once."""
        gone: dict[tuple[str, str], set[str]] = defaultdict(set)
        came: dict[tuple[str, str], list[Came]] = defaultdict(list)
        for one in stale:
            path, source = storable(one.file.path), one.file.source
            found, duplicate = converted.get(one.file.path), one.facts.get("status") == "duplicate"
            batches: list[str] = []
            if found is not None and found.location is not None:
                batches = found.facts["batch_ids"]
                try:
                    for batch in batches:
                        raw.confirm_ours(source, batch)
                except NotOurs as error:
                    found.location, found.facts["reason"] = None, f"{error.what}: {error.next_step}"
            if (found is None or found.location is None) and not duplicate:
                # What was read of it before stays: a file that cannot be read says nothing.
                continue
            before = known.get(path)
            earlier = before["batches_in_raw"] if before else raw.batches_of(source, path) if source else []
            for batch in earlier or ():
                gone[source, batch].add(path)
            if found is not None and found.location is not None and one.profile is not None:
                for batch in batches:
                    gone[source, batch].add(path)
                    came[source, batch].append(came_of(one.file, one.sha256, one.profile, found.location))
            one.facts["batches_in_raw"] = batches
        for row in withdrawn:
            for batch in row["batches_in_raw"] or ():
                gone[row["source"], batch].add(row["path"])
        for other in again:
            for batch in other.batches:
                if (other.source, batch) in gone or (other.source, batch) in came:
                    gone[other.source, batch].add(other.came.path)
                    came[other.source, batch].append(other.came)
        for source, batch in sorted({*gone, *came}):
            if self._run is not None:
                self._run.landed_batches += 1
            if not raw.write(source, batch, sorted(gone[source, batch]), came[source, batch]):
                self._emptied.append(name_raw_file(source, batch))
        if raw.repeated and self._run is not None:
            self._run.notices.append(tell_of_repeats(raw.repeated))

    def _read_again(
        self,
        landed: Sequence[Landed],
        stale: Sequence[Landed],
        converted: Mapping[str, Converted],
        known: Known,
        withdrawn: Sequence[dict[str, Any]],
        conversion: Conversion,
    ) -> list[Again]:
        """Other landed files of the batches concerned, where the newest of several readings counts."""
        concerned: dict[str, set[str]] = defaultdict(set)
        for row in [*withdrawn, *(known.get(storable(one.file.path), {}) for one in stale)]:
            concerned[row.get("source", "")] |= {*(row.get("batches_in_raw") or ())}
        for path, result in converted.items():
            concerned[path.partition("/")[0]] |= {*(result.facts.get("batch_ids") or ())}
        written = {one.file.path for one in stale if "known" not in one.facts}
        again = []
        for one in landed:
            before = known.get(storable(one.file.path))
            if before is None or one.reason or one.profile is None or one.file.path in written:
                continue
            batches = concerned[one.file.source] & {*(before["batches_in_raw"] or ())}
            if one.profile.newest and batches:
                again.append(read_again(one.file, one.sha256, one.profile, sorted(batches), conversion, self._backend))
        return again

    def _row(self, one: Landed, arrivals: Arrivals, before: dict[str, Any] | None) -> dict[str, Any]:
        file = {"path": storable(one.file.path), "key": one.file.key, "settled": one.file.settled}
        if one.facts.pop("known", False):
            return one.facts | file
        arrival = arrivals.get(one.key)
        reason = one.facts.get("reason") or one.reason
        row = {
            "source": storable(one.file.source),
            "sha256": one.sha256,
            "size_bytes": one.file.size_bytes,
            "arrived_at": arrival and datetime.fromisoformat(arrival.arrived_at),
            "arrived_by": arrival and arrival.arrived_by,
            "reader": one.profile and one.profile.reader,
            "run_id": self._run.run_id if self._run else None,
            "conversion": one.conversion,
            "status": "read" if reason is None else "quarantined",
        }
        # Rows of an earlier version may still be in the raw files.
        row["batches_in_raw"] = before["batches_in_raw"] if before is not None else None
        return row | one.facts | {"reason": reason} | file

    def _withdrawn(self, known: Known, landed: Sequence[Landed]) -> list[dict[str, Any]]:
        """Files that are gone and whose rows go with them, because the run was told so."""
        # A landing zone that is not there at all is not mounted.
        allowed = self._run is not None and self._run.allow_removal and self._place.is_there()
        paths = {storable(one.file.path) for one in landed}
        return [row for path, row in known.items() if path not in paths] if allowed else []

    def _gone(
        self, known: Known, landed: Sequence[Landed], withdrawn: Sequence[dict[str, Any]]
    ) -> Iterable[dict[str, Any]]:
        paths = {storable(one.file.path) for one in landed}
        removed = {row["path"] for row in withdrawn}
        for path, row in known.items():
            if path in removed:
                yield row | {"status": "removed", "batches_in_raw": None, "key": None}
            elif path not in paths and row["status"] != "missing":
                yield row | {"status": "missing", "key": None}
