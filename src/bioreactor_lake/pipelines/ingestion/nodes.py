"""Ingestion: what lies in the raw folder, and the rows of the accepted files as one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import ibis
import ibis.expr.types as ir
from ibis import _

from bioreactor_lake.pipelines.ingestion.reading import read_canonical, read_with_partition_conflicts
from bioreactor_lake.pipelines.ingestion.reading_rules import ReadingRules
from bioreactor_lake.pipelines.staging.nodes import interpret


class RawFiles(Protocol):
    """Files that can be looked into."""

    def inspect(
        self, summarise: Callable[[ir.Table], ir.Table], *, rules: str, variant: Callable[[str], str]
    ) -> ir.Table:
        """Apply a summary to the rows of every file that changed. Grain: one row per file."""


if TYPE_CHECKING:
    from bioreactor_lake.pipelines.ingestion.profiles.columns import Head
    from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile


class LandedFiles(Protocol):
    """Originals that can be read by profiles."""

    def read(self, profiles: Callable[[], Mapping[str, Profile]], reader: ReadByProfile) -> ir.Table:
        """Make raw files of those that are new. Grain: one row per landed file of which something is news."""


class ReadByProfile:
    """The rules by which the cells of a landed file become readings."""

    # Imported where there is something to read.
    def lines(self, cells: ir.Table, profile: Profile, head: Head) -> ir.Table:
        """Lines, each with what it is about or a reason."""
        from bioreactor_lake.pipelines.ingestion.profiles.cells import read_lines

        return read_lines(cells, profile, head)

    def readings(self, lines: ir.Table, profile: Profile, head: Head) -> ir.Table:
        """Readings of lines without a reason."""
        from bioreactor_lake.pipelines.ingestion.profiles.readings import list_readings

        return list_readings(lines, profile, head)

    def rejects(self, lines: ir.Table, profile: Profile, head: Head) -> ir.Table:
        """Lines with a reason."""
        from bioreactor_lake.pipelines.ingestion.profiles.cells import list_rejects

        return list_rejects(lines, profile, head)


def read_landed_files(landing_zone: LandedFiles, profiles: Callable[[], Mapping[str, Any]]) -> ir.Table:
    """What became of landed files. Grain: one row per landed file of which something is news.

    Args:
        landing_zone: The files.
        profiles: Reads the file profiles, where there is a file to read by them.
    """
    return landing_zone.read(profiles, ReadByProfile())


def inspect_raw_files(
    raw_folder: RawFiles, reading: Mapping[str, Any], landed_files: ir.Table | None = None
) -> ir.Table:
    """What the raw files hold and whether they are taken in. Grain: one row per raw file that is there.

    Rows and batches are counted through staging's own rules, so that the manifest and staging cannot disagree.

    Args:
        raw_folder: The files.
        reading: The parameter group `reading`.
        landed_files: What became of landed files, which are raw files by now; it says that this comes after.
    """
    rules = ReadingRules.from_parameters(reading)

    def summarise(file: ir.Table) -> ir.Table:
        return summarise_files(interpret(read_with_partition_conflicts(file, rules)))

    found = raw_folder.inspect(summarise, rules=repr(rules), variant=rules.zone_of)
    return found.mutate(status=_.reason.isnull().ifelse("accepted", "quarantined"))


def summarise_files(rows: ir.Table) -> ir.Table:
    """What the manifest keeps of the rows of each file. Grain: one row per `source_file` that has rows.

    Args:
        rows: Interpreted rows, with `partition_conflict`.
    """
    accepted = _.reason.isnull()
    parts = rows.group_by("source_file", "batch_id").agg(
        rows_accepted=accepted.sum(),
        rows_rejected=(~accepted).sum(),
        ts_min=_.ts.min(where=accepted),
        ts_max=_.ts.max(where=accepted),
        partition_conflict=_.partition_conflict.max(),
        # Every column is read, so that a damaged one is found here and not by a later layer.
        largest=_.value.max(),
        longest=ibis.greatest(_.value_text.length(), _.site.length(), _.unit.length(), _.quality.length()).max(),
    )
    return parts.group_by("source_file").agg(
        batch_ids=_.batch_id.collect(where=_.rows_accepted > 0, order_by=_.batch_id),
        rows_accepted=_.rows_accepted.sum(),
        rows_rejected=_.rows_rejected.sum(),
        ts_min=_.ts_min.min(),
        ts_max=_.ts_max.max(),
        partition_conflict=_.partition_conflict.max(),
        largest=_.largest.max(),
        longest=_.longest.max(),
    )


def unite_raw_files(raw_files: Mapping[str, ir.Table], reading: Mapping[str, Any]) -> ir.Table:
    """The rows of all accepted files under canonical columns. Grain: one row per raw row.

    Each schema is read by itself and cast to the canonical columns before they are put together.

    Args:
        raw_files: Schema id to the rows of the accepted files of that schema.
        reading: The parameter group `reading`.
    """
    rules = ReadingRules.from_parameters(reading)
    return ibis.union(*(read_canonical(raw_files[schema_id], rules) for schema_id in sorted(raw_files)))
