"""What each relation of the warehouse holds of each batch: fingerprints, and which of them are out of date.

`lake_state.relations` keeps the logic that a relation was last written with and the versions of the libraries that
spelled it, `lake_state.held` the fingerprint and row count of every batch of a table, written in the transaction that
writes its rows. A view holds whatever its upstreams
hold, so its fingerprints are computed. The rule is one for all:

    expected(table, batch) = hash(logic(table), for each upstream the fingerprint that it holds for the batch)

Where a table is computed over several batches, all of its batches have one fingerprint, made of all that the upstreams
hold, so that what is built on it changes whenever it may have changed; and it may have batches that no upstream has.

A batch is stale where held and expected differ. A crash, a restored backup, a skipped run or a changed node needs no
other rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import known_in_run
from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.lake.libraries import library_versions, why_other_logic
from bioreactor_lake.lake.locality import is_keyed
from bioreactor_lake.lake.logic import WHOLE, leaves, name_leaf
from bioreactor_lake.sql import literal, quote

_EXPECTED = "temp.main.expected_batches"
EXTRACTED = "extracted"
"""The kind of a table that is made of extracts: nothing of the warehouse is upstream of it."""
EXPECTED_QUERY = f"SELECT batch_id, fingerprint FROM {_EXPECTED}"
"""A query for what the table of the last `expect` should hold."""
EXPECTED_OF_ALL = f"(SELECT DISTINCT fingerprint FROM {_EXPECTED} WHERE starts_with(fingerprint, {literal(WHOLE)}))"
"""The fingerprint that all batches of it have which are computed over several, whatever they are called."""


@dataclass(frozen=True)
class Changes:
    """What differs between what a table holds and what it should hold.

    Args:
        stale: Batches to write, in order.
        gone: Batches to delete.
        total: Batches that the table should hold.
    """

    stale: tuple[str, ...]
    gone: tuple[str, ...]
    total: int

    def __bool__(self) -> bool:
        return bool(self.stale or self.gone)


def ensure(backend: Any) -> None:
    """Create the tables of the state if they are not there."""
    known_in_run.known(backend, ("state",), lambda: _ensure(backend))


def _ensure(backend: Any) -> None:
    backend.raw_sql("CREATE SCHEMA IF NOT EXISTS lake_state")
    backend.raw_sql(
        "CREATE TABLE IF NOT EXISTS lake_state.relations (name VARCHAR, kind VARCHAR, logic VARCHAR, "
        "upstreams VARCHAR[], reference_tables VARCHAR[], run_id VARCHAR, written_at TIMESTAMP)"
    )
    backend.raw_sql("ALTER TABLE lake_state.relations ADD COLUMN IF NOT EXISTS libraries VARCHAR")
    backend.raw_sql(
        "CREATE TABLE IF NOT EXISTS lake_state.held (name VARCHAR, batch_id VARCHAR, fingerprint VARCHAR, rows BIGINT)"
    )
    # What the view of the raw files was made for: files that it does not read yet are not held.
    backend.raw_sql("CREATE TABLE IF NOT EXISTS lake_state.raw_branches (schema_id VARCHAR, rules_hash VARCHAR)")
    backend.raw_sql(
        "CREATE TABLE IF NOT EXISTS lake_state.compacted_files (path VARCHAR, content_hash VARCHAR, schema_id VARCHAR, "
        "location VARCHAR, size_bytes BIGINT, mtime_ns BIGINT)"
    )


def why_differs(backend: Any, name: str, logic: str) -> str | None:
    """Why a logic is not the one that a relation was last written with, as far as that is known; None where it is."""
    # A lake of an earlier version, opened for reading, does not have the column.
    found = backend.raw_sql(
        f"SELECT logic, to_json(r) ->> 'libraries' FROM lake_state.relations AS r WHERE name = {literal(name)}"
    ).fetchone()
    known, libraries = found or (None, None)
    return None if known == logic else why_other_logic(libraries)


def confirm_libraries(backend: Any, name: str, logic: str) -> None:
    """Keep that today's libraries spell a logic as it was written, so that they are not named when it changes later."""
    libraries = literal(library_versions())
    backend.raw_sql(
        f"UPDATE lake_state.relations SET libraries = {libraries} WHERE name = {literal(name)} "
        f"AND logic = {literal(logic)} AND libraries IS DISTINCT FROM {libraries}"
    )


def remember_relation(backend: Any, name: str, kind: str, logic: str, table: ir.Table, run_id: str | None) -> None:
    """Keep the logic and the upstreams of a relation; part of the transaction that writes it."""
    known_in_run.forget("relation")
    backend.raw_sql(f"DELETE FROM lake_state.relations WHERE name = {literal(name)}")
    keyed = ", ".join(literal(name_leaf(leaf)) for leaf in leaves(table) if is_keyed(leaf))
    others = ", ".join(literal(name_leaf(leaf)) for leaf in leaves(table) if not is_keyed(leaf))
    backend.raw_sql(
        f"INSERT INTO lake_state.relations VALUES ({literal(name)}, {literal(kind)}, {literal(logic)}, [{keyed}], "
        f"[{others}], {'NULL' if run_id is None else literal(run_id)}, make_timestamp(epoch_us(now())), "
        f"{literal(library_versions())})"
    )


def remember_extracted(backend: Any, name: str, run_id: str | None) -> None:
    """Keep that a table is made of extracts; part of the transaction that writes it."""
    known_in_run.forget("relation")
    backend.raw_sql(f"DELETE FROM lake_state.relations WHERE name = {literal(name)}")
    backend.raw_sql(
        f"INSERT INTO lake_state.relations VALUES ({literal(name)}, {literal(EXTRACTED)}, {literal(EXTRACTED)}, "
        f"[]::VARCHAR[], []::VARCHAR[], {'NULL' if run_id is None else literal(run_id)}, "
        f"make_timestamp(epoch_us(now())), {literal(library_versions())})"
    )


def expect(backend: Any, table: ir.Table, logic: str, assume: Mapping[str, str] | None = None) -> None:
    """Compute which fingerprints a table should hold, into a temporary table.

    Args:
        backend: The warehouse.
        table: The expression of the table.
        logic: Its logic.
        assume: For relations that are about to change, by name, a query for what they will hold.
    """
    backend.raw_sql(f"CREATE OR REPLACE TEMP TABLE expected_batches AS {expected_by(backend, table, logic, assume)}")


def expected_by(backend: Any, table: ir.Table, logic: str, assume: Mapping[str, str] | None = None) -> str:
    """A query for the `batch_id, fingerprint` that an expression's table should hold; arguments as for `expect`."""
    keyed = [name_leaf(leaf) for leaf in leaves(table) if is_keyed(leaf)]
    others = [name_leaf(leaf) for leaf in leaves(table) if not is_keyed(leaf)]
    return _combine(backend, keyed, others, logic, assume or {})


def no_changes(backend: Any) -> Changes:
    """What `changes` says where all is held as expected."""
    (total,) = backend.raw_sql(f"SELECT count(*) FROM {_EXPECTED}").fetchone()
    return Changes((), (), int(total))


def changes(backend: Any, held: str, named: Sequence[str] = (), *, may_lack: bool = False) -> Changes:
    """Compare the expected fingerprints with held ones.

    Args:
        backend: The warehouse, after `expect`.
        held: A query for `batch_id, fingerprint`.
        named: Batches to write whether or not they differ, and no others; empty for those that differ.
        may_lack: Whether the tables below need not hold a named batch, as those that sources tell of.

    Raises:
        UsageError: A named batch is not in the tables below yet.
    """
    if named:
        ids = ", ".join(map(literal, named))
        again = _column(backend, f"SELECT batch_id FROM {_EXPECTED} WHERE batch_id IN ({ids}) ORDER BY 1")
        if not may_lack and (missing := sorted(set(named).difference(again))):
            raise UsageError(
                f"The tables below do not hold {' or '.join(map(repr, missing))} yet.",
                kept="The table is as it was.",
                next_step="Leave --pipeline out, so that they are written first.",
            )
        return replace(no_changes(backend), stale=again)
    stale = _column(
        backend,
        f"SELECT e.batch_id FROM {_EXPECTED} AS e LEFT JOIN ({held}) AS h USING (batch_id) "
        "WHERE h.fingerprint IS DISTINCT FROM e.fingerprint ORDER BY 1",
    )
    gone = _column(
        backend,
        f"SELECT batch_id FROM ({held}) AS h ANTI JOIN {_EXPECTED} AS e USING (batch_id) "
        f"WHERE fingerprint NOT IN {EXPECTED_OF_ALL} ORDER BY 1",
    )
    return replace(no_changes(backend), stale=stale, gone=gone)


def digest(backend: Any) -> str | None:
    """A digest of what is expected, equal to that of a state which holds just that."""
    (found,) = backend.raw_sql(
        f"SELECT md5(string_agg(batch_id || chr(31) || fingerprint, chr(30) ORDER BY batch_id)) FROM {_EXPECTED}"
    ).fetchone()
    return None if found is None else str(found)


def digest_rows(backend: Any, query: str) -> str:
    """A digest of the rows of a query, whatever their order, and without holding them all."""
    (found,) = backend.raw_sql(
        f"SELECT md5(count(*) || '|' || coalesce(bit_xor(md5_number(concat_ws('|', *COLUMNS(*)))), 0)) FROM ({query})"
    ).fetchone()
    return str(found)


def expected(backend: Any, batches: Sequence[str] | None) -> list[tuple[str, str]]:
    """Batch and fingerprint as computed by `expect`, for some batches or, given None, for all."""
    rows: list[tuple[str, str]] = backend.raw_sql(EXPECTED_QUERY).fetchall()
    if batches is None:
        return rows
    wanted = set(batches)
    return [row for row in rows if row[0] in wanted]


def held_rows(name: str) -> str:
    """A query for the state of a table."""
    return f"SELECT batch_id, fingerprint, rows FROM lake_state.held WHERE name = {literal(name)}"


def forget_batches(backend: Any, name: str) -> None:
    """Drop the state of a table that is made anew; part of the transaction that makes it."""
    backend.raw_sql(f"DELETE FROM lake_state.held WHERE name = {literal(name)}")


def remember_batches(backend: Any, name: str, qualified: str, batches: str | None) -> None:
    """Take over the expected fingerprints of what was written; part of the transaction that writes it.

    Args:
        backend: The warehouse, after `expect`.
        name: The table.
        qualified: The same, quoted.
        batches: A relation of the `batch_id` that were written or deleted; None for all.
    """
    among = "" if batches is None else f" AND batch_id IN (SELECT batch_id FROM {batches})"
    backend.raw_sql(f"DELETE FROM lake_state.held WHERE name = {literal(name)}{among}")
    rows = f"SELECT batch_id, count(*) AS rows FROM {qualified} WHERE true{among} GROUP BY batch_id"
    backend.raw_sql(
        f"INSERT INTO lake_state.held SELECT {literal(name)}, batch_id, "
        f"coalesce(fingerprint, {EXPECTED_OF_ALL}) AS held, coalesce(rows, 0) "
        f"FROM {_EXPECTED} FULL JOIN ({rows}) USING (batch_id) WHERE held IS NOT NULL{among}"
    )


def relation_of(backend: Any, name: str) -> tuple[str, str, list[str], list[str]] | None:
    """Kind, logic, upstreams with batches and reference tables of a relation; None where the lake did not write it."""

    def ask() -> dict[str, tuple[str, str, list[str], list[str]]]:
        rows = backend.raw_sql("SELECT name, kind, logic, upstreams, reference_tables FROM lake_state.relations")
        return {name: tuple(rest) for name, *rest in rows.fetchall()}

    return known_in_run.known(backend, ("relation",), ask).get(name)


def held_by(backend: Any, name: str, assume: Mapping[str, str] | None = None) -> str:
    """A query for the `batch_id, fingerprint` that a relation holds now.

    Raises:
        LakeError: The relation was not written by the lake.
    """
    if assume and name in assume:
        return assume[name]
    found = relation_of(backend, name)
    if found is None:
        raise LakeError(
            f"{name} has batches, but the lake did not write it, so it cannot know when it changes.",
            next_step="Write it by a node, or give its batch_id column another name.",
        )
    kind, logic, upstreams, others = found
    if kind == "raw":
        return raw_fingerprints(
            "raw.files WHERE status = 'accepted' AND (schema_id, split_part(rules_hash, '-', 1)) IN "
            "(SELECT (schema_id, rules_hash) FROM lake_state.raw_branches)"
        )
    if kind in ("table", EXTRACTED):
        return f"SELECT batch_id, fingerprint FROM lake_state.held WHERE name = {literal(name)}"
    return _combine(backend, upstreams, others, logic, assume or {})


def is_of_sources(backend: Any, table: ir.Table) -> bool:
    """Whether the batches of an expression are those that sources tell of, and not those of raw files."""
    found = [relation_of(backend, name_leaf(leaf)) for leaf in leaves(table) if is_keyed(leaf)]
    return bool(found) and all(one is not None and one[0] == EXTRACTED for one in found)


def upstreams_of(backend: Any, name: str) -> tuple[str, tuple[str, ...]]:
    """The kind of a relation, `raw`, `view` or `table`, and the relations with batches that it was written from."""
    found = backend.raw_sql(f"SELECT kind, upstreams FROM lake_state.relations WHERE name = {literal(name)}").fetchone()
    kind, upstreams = found or ("", ())
    return str(kind), () if kind == "raw" else tuple(upstreams)


def expected_now(backend: Any, name: str) -> str:
    """A query for the `batch_id, fingerprint` that a table would hold if it were written as it was, but now."""
    logic, upstreams, others = backend.raw_sql(
        f"SELECT logic, upstreams, reference_tables FROM lake_state.relations WHERE name = {literal(name)}"
    ).fetchone()
    return _combine(backend, upstreams, others, logic, {})


def raw_fingerprints(files: str) -> str:
    """A query for the `batch_id, fingerprint` of the batches that raw files hold.

    Args:
        files: What to select them from, with `batch_ids`, `content_hash` and `rules_hash`, and a condition.
    """
    # Unnested and sorted in this way it takes a quarter of the time of string_agg(… ORDER BY …).
    return (
        "SELECT batch_id, md5(array_to_string(list_sort(list(content_hash || ':' || rules_hash)), ',')) AS fingerprint "
        f"FROM (SELECT unnest(batch_ids) AS batch_id, content_hash, rules_hash FROM {files}) GROUP BY batch_id"
    )


def raw_files_of(backend: Any, batches: Sequence[str]) -> dict[str, list[str]]:
    """Accepted raw files that hold some batches, by schema; of a schema that has none, any one file."""
    listed = ", ".join(map(literal, batches))
    return dict(
        backend.raw_sql(
            f"SELECT schema_id, coalesce(list(path ORDER BY path) FILTER (list_has_any(batch_ids, [{listed}])), "
            "[min(path)]) FROM raw.files WHERE status = 'accepted' GROUP BY schema_id ORDER BY schema_id"
        ).fetchall()
    )


def _combine(backend: Any, keyed: Sequence[str], others: Sequence[str], logic: str, assume: Mapping[str, str]) -> str:
    """A query for the fingerprints of a relation from those of its upstreams and the content of other tables."""
    fixed = "|".join([logic, *(_content(backend, name) for name in others)])
    joined = " FULL JOIN ".join(
        f"({held_by(backend, name, assume)}) AS u{number}" + (" USING (batch_id)" if number else "")
        for number, name in enumerate(keyed)
    )
    held = ", ".join(f"coalesce(u{number}.fingerprint, '-')" for number in range(len(keyed)))
    if logic.startswith(WHOLE):
        content = f"SELECT batch_id, md5(concat_ws('|', batch_id, {held})) AS content FROM {joined}"
        return (
            f"WITH upstream AS ({content}) SELECT batch_id, {literal(WHOLE)} || md5(concat_ws('|', {literal(fixed)}, "
            "(SELECT string_agg(content, '' ORDER BY content) FROM upstream))) AS fingerprint FROM upstream"
        )
    return f"SELECT batch_id, md5(concat_ws('|', {literal(fixed)}, {held})) AS fingerprint FROM {joined}"


def _content(backend: Any, name: str) -> str:
    """The content of a table without batches: a change in it makes everything above stale."""
    schema, _, table = name.partition(".")
    (content,) = backend.raw_sql(
        f"SELECT count(*) || ':' || coalesce(bit_xor(hash(t)), 0) FROM {quote(schema)}.{quote(table)} AS t"
    ).fetchone()
    return f"{name}:{content}"


def _column(backend: Any, query: str) -> tuple[str, ...]:
    return tuple(row[0] for row in backend.raw_sql(query).fetchall())
