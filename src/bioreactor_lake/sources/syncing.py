"""A sync: what is new in a source lands, table by table.

A table's extract lands as a whole or not at all, and what is asked for next follows from what has landed. So a sync
that was killed is simply done again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioreactor_lake.errors import LakeError, LockedError
from bioreactor_lake.lake.retries import RetryRule
from bioreactor_lake.landing.places import LandingPlace
from bioreactor_lake.landing.zone import LandedFile, land
from bioreactor_lake.postgres.locks import exclusively
from bioreactor_lake.sources.copies import on_disk
from bioreactor_lake.sources.extracts import Extract, current, find_extracts, name_file
from bioreactor_lake.sources.records import (
    UnreadableExtract,
    columns_of,
    count_rows,
    find_watermark,
    select_current,
)
from bioreactor_lake.sources.source import ExtractedTable, Source
from bioreactor_lake.sources.writing import write_extract

_SCRATCH = ".syncing"
_KEPT = "What landed before is kept, and every table is as it was."


@dataclass(frozen=True)
class Synced:
    """What became of one table.

    Args:
        table: Its name.
        rows: Records that were asked for and came.
        path: The extract that landed; None where nothing was new.
        size_bytes: Its size.
        since: The watermark that it was asked for; None for all records.
    """

    table: str
    rows: int
    path: str | None
    size_bytes: int = 0
    since: str | None = None


@dataclass(frozen=True)
class Sync:
    """How a source is synced.

    Args:
        place: The landing zone.
        folder: In which the source is worked on, see `own_folder`.
        source: The source.
        credentials: Of the source.
        rule: How often what can pass by itself is tried.
        run_id: Of this sync.
        whole: Ask for all records, whatever has landed.
        allow_empty: Take an answer without records for what it says.
    """

    place: LandingPlace
    folder: Path
    source: Source
    credentials: Mapping[str, Any]
    rule: RetryRule
    run_id: str
    whole: bool = False
    allow_empty: bool = False

    def sync(self, name: str) -> Synced:
        """Bring one table up to date.

        Raises:
            LakeError: The source cannot be asked, its answer cannot be used, or it is empty and may not be.
        """
        table = self.source.tables[name]
        scratch = self.folder / _SCRATCH
        # What a sync that was killed has left.
        shutil.rmtree(scratch, ignore_errors=True)
        for part in (self.folder / name).glob(".*.part"):
            part.unlink(missing_ok=True)
        files = {file.path: file for file in self.place.find_files() if file.is_regular}
        extracts = self._listed(files.values(), name)
        try:
            target = scratch / name
            target.mkdir(parents=True)
            # Those that make up the table now: what they followed is not looked at.
            with on_disk(self.place, files, current(extracts), scratch) as copies:
                return self._sync(table, copies, target)
        except OSError as error:
            raise LakeError(
                f"The extract of {name} cannot be written below {self.folder}: {error.strerror or error}.",
                kept=_KEPT,
                next_step="Give this user the right to write the landing zone, and make room on its disk.",
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _sync(self, table: ExtractedTable, extracts: Sequence[Extract], folder: Path) -> Synced:
        import duckdb

        is_rest, name = self.source.rest is not None, table.name
        with duckdb.connect(config={"allow_community_extensions": "false"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            query = connection.execute
            since = None
            if table.watermark is not None and extracts and not self.whole:
                since = find_watermark(query, table, extracts, is_rest=is_rest)
            number = extracts[-1].number + 1 if extracts else 1
            target = folder / name_file(number, is_whole=since is None)
            notes = {"source": self.source.name, "table": name, "run_id": self.run_id, "since": str(since or "")}
            rows = write_extract(self.source, table, self.credentials, since, self.rule, target, notes)
            new = Extract("new", str(target), self.source.name, name, number, since is None)
            if rows:
                _confirm_records(query, self.source, table, new)
            else:
                self._confirm_empty(query, table, extracts)
            if extracts and not _has_news(query, table, extracts, new, is_rest=is_rest):
                return Synced(name, rows, None, since=_spelled(since))
        self._confirm_alone(name, number)
        size = target.stat().st_size
        ((path, _),) = [*land(self.place, self.source.name, folder, how="synced", run_id=self.run_id)]
        return Synced(name, rows, path, size, _spelled(since))

    def _listed(self, files: Iterable[LandedFile], name: str) -> list[Extract]:
        found = find_extracts((file.path, file.location) for file in files if file.is_regular)
        return found.get((self.source.name, name), [])

    def _confirm_alone(self, name: str, number: int) -> None:
        """Refuse a place that another machine has taken meanwhile, of whose lock this one knows nothing."""
        others = self._listed(self.place.find_files(), name) if "://" in self.place.root else []
        if others and others[-1].number >= number:
            raise LockedError(
                f"Another sync of {self.source.name} has landed {others[-1].path} meanwhile.",
                kept=_KEPT,
                next_step="Sync again, and each source from one machine.",
            )

    def _confirm_empty(self, query: Any, table: ExtractedTable, extracts: Sequence[Extract]) -> None:
        """Refuse an empty answer, except where the last one was empty too.

        What is as new as the watermark is asked for, the record that has it included: so there is always one.
        """
        if self.allow_empty or (extracts and _is_empty(query, extracts[-1])):
            return
        before = "where the last one was not" if extracts else "and none has landed before"
        raise LakeError(
            f"The extract of {self.source.name}, table {table.name}, is empty, {before}.",
            kept=_KEPT,
            next_step="Check user, password and rights: some systems answer a wrong password with an empty list. If "
            f"there is nothing any more, say so: kedro lake sync {self.source.name} {table.name} --allow-empty",
        )


def own_folder(place: LandingPlace, source: str, beside: Path) -> Path:
    """The folder in which a source is worked on: its own in the landing zone, so that what landed need not be copied.

    Args:
        place: The landing zone.
        source: The source.
        beside: A folder of this lake, where the landing zone is a bucket.
    """
    return beside / ".syncs" / source if "://" in place.root else Path(place.root) / source


@contextmanager
def locked(folder: Path, source: str, patience_seconds: float) -> Iterator[None]:
    """Let nobody else on this machine sync a source meanwhile.

    Args:
        folder: In which it is worked on.
        source: The source.
        patience_seconds: How long another sync of it is waited for.

    Raises:
        LockedError: Somebody else does, for longer than the patience lasts.
        LakeError: The folder cannot be written.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(exclusively(folder / ".sync.lock", patience_seconds))
        except LockedError:
            raise LockedError(
                f"Another sync of {source} is under way.", kept=_KEPT, next_step="Try again later."
            ) from None
        except OSError as error:
            raise LakeError(
                f"{folder} cannot be written: {error.strerror}.",
                kept=_KEPT,
                next_step="Give this user the right to write it, and make room on its disk.",
            ) from error
        yield


def _confirm_records(query: Any, source: Source, table: ExtractedTable, new: Extract) -> None:
    """Refuse records that cannot be told apart, and an extract without a column that is needed."""
    is_rest = source.rest is not None
    where = f"The extract of {source.name}, table {table.name},"
    if not is_rest:
        known = columns_of(query, new)
        for column in [*table.key, *([table.watermark] if table.watermark else []), *_mapped_columns(source, table)]:
            if column not in known:
                raise LakeError(
                    f"{where} has no column {column!r}.",
                    kept=_KEPT,
                    next_step=f"Its columns are {', '.join(known)}: correct sources.{source.name}.",
                )
    columns = {f"key_{number}": name for number, name in enumerate(table.key)}
    newest = select_current(query, table, [new], columns, is_rest=is_rest)
    missing = " OR ".join(f'"{name}" IS NULL' for name in columns)
    unnamed, distinct = query(f"SELECT count(*) FILTER ({missing}), count(*) FROM ({newest})").fetchone()
    if unnamed:
        raise LakeError(
            f"{where} has records without {' and '.join(table.key)}, by which they are told apart.",
            kept=_KEPT,
            next_step=f"Correct the key in sources.{source.name}.tables.{table.name}, or leave such records out.",
        )
    # Pages of an API may shift while they are read, so that a record comes twice.
    if not is_rest and distinct != (rows := count_rows(query, new)):
        raise LakeError(
            f"{where} has {rows:,} rows, and only {distinct:,} differ in {' and '.join(table.key)}.",
            kept=_KEPT,
            next_step=f"Name a key that is unique in sources.{source.name}.tables.{table.name}.",
        )


def _mapped_columns(source: Source, table: ExtractedTable) -> Iterator[str]:
    for mapped in source.mapped.values():
        yield from mapped.columns_of(table.name)


def _has_news(query: Any, table: ExtractedTable, extracts: Sequence[Extract], new: Extract, *, is_rest: bool) -> bool:
    """Whether an extract says anything that those before it do not."""
    try:
        known = columns_of(query, extracts[-1])
        if columns_of(query, new) != known:
            return True
        # Of a REST API the whole record, else each column.
        columns = {"record": "*"} if is_rest else {f"column_{number}": name for number, name in enumerate(known)}
        before = select_current(query, table, extracts, columns, is_rest=is_rest)
        after = select_current(query, table, [new], columns, is_rest=is_rest)
        query(f"CREATE OR REPLACE TEMP TABLE known AS SELECT * EXCLUDE (extract) FROM ({before})")
        query(f"CREATE OR REPLACE TEMP TABLE found AS SELECT * EXCLUDE (extract) FROM ({after})")
    except UnreadableExtract:
        if new.is_whole:
            return True
        raise
    if query("SELECT 1 FROM (FROM found EXCEPT FROM known) LIMIT 1").fetchone():
        return True
    gone = query("SELECT 1 FROM (FROM known EXCEPT FROM found) LIMIT 1").fetchone()
    is_first_empty = not count_rows(query, new) and not _is_empty(query, extracts[-1])
    return bool((new.is_whole and gone) or is_first_empty)


def _is_empty(query: Any, extract: Extract) -> bool:
    try:
        return not count_rows(query, extract)
    except UnreadableExtract:
        return False


def _spelled(since: Any) -> str | None:
    return None if since is None else str(since)
