"""Views and tables of the warehouse: what a save writes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets import holdings, relation_catalog, warehouse
from bioreactor_lake.datasets.expressions import compile_narrowed, compile_typed, list_batches, spell_type
from bioreactor_lake.datasets.known_logic import logic_for
from bioreactor_lake.datasets.portions import portions_of
from bioreactor_lake.datasets.raw_check import confirm_raw_files
from bioreactor_lake.datasets.raw_restriction import (
    can_be_restricted,
    reads_files_only,
    remember_row_wise,
    restricted,
)
from bioreactor_lake.datasets.reads import find_reads
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.lake.locality import why_not_local
from bioreactor_lake.lake.runs import NOT_BUILT, OTHER_COLUMNS, Run, WriteReport, current_run
from bioreactor_lake.sql import quote


class ViewDataset(WarehouseDataset):
    """A DuckDB view: an expression that is computed whenever it is read, from any process and folder."""

    _kind = "view"
    _holding = "view"

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        holdings.ensure(backend)
        logic = logic_for(backend, self.qualified_name, data)
        remember_row_wise(backend, self.qualified_name, data)
        reason = self._why_anew(logic)
        if reason is None:
            holdings.confirm_libraries(backend, self.qualified_name, logic)
            return WriteReport(self.qualified_name, None, 0, batches=0)
        backend.raw_sql(f"CREATE OR REPLACE VIEW {self._qualified} AS {compile_typed(backend, data)}")
        self._comment(backend, data.columns)
        holdings.remember_relation(backend, self.qualified_name, self._holding, logic, data, _run_id())
        return WriteReport(self.qualified_name, None, 0, reason=reason)

    def plan(self, data: ir.Table) -> str | None:
        """Why a save would define the view anew, or None if it would not."""
        return self._why_anew(logic_for(self.connection, self.qualified_name, data))

    def _why_anew(self, logic: str) -> str | None:
        if not self._exists():
            return NOT_BUILT
        if _run().full_refresh:
            return "a full refresh was asked for"
        return holdings.why_differs(self.connection, self.qualified_name, logic)


class RawViewDataset(ViewDataset):
    """The view of the accepted raw files, from whose content every fingerprint starts."""

    _holding = "raw"

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        report = super()._write(backend, data)
        backend.raw_sql("DELETE FROM lake_state.raw_branches")
        backend.raw_sql(
            "INSERT INTO lake_state.raw_branches SELECT DISTINCT schema_id, split_part(rules_hash, '-', 1) "
            "FROM raw.files WHERE status = 'accepted'"
        )
        return report


class MaterialisedDataset(WarehouseDataset):
    """A DuckDB table of which a save writes the batches that are out of date.

    Args:
        order_by: Columns to sort by; batch first, so that DuckDB's zone maps find a batch without an index.
        indexes: Columns to index, one index each; for small tables only, since on large ones an index makes
            replacing a batch many times slower and finds it no faster.
        **relation: As for `WarehouseDataset`.
    """

    def __init__(self, *, order_by: Sequence[str], indexes: Sequence[str] = (), **relation: Any) -> None:
        super().__init__(**relation)
        self._order_by = list(order_by)
        self._indexes = list(indexes)

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        holdings.ensure(backend)
        logic = logic_for(backend, self.qualified_name, data)
        holdings.expect(backend, data, logic)
        of_sources = holdings.is_of_sources(backend, data)
        held = holdings.held_rows(self.qualified_name)
        changes = holdings.changes(backend, held, _run().batches, may_lack=of_sources)
        reason = self._why_whole(backend, data, logic, changes)
        if reason is None and not changes and self._exists():
            holdings.confirm_libraries(backend, self.qualified_name, logic)
            return WriteReport(self.qualified_name, 0, 0, batches=0)
        if reason is None:
            rows = self._write_batches(backend, data, changes)
            batches = len(changes.stale) + len(changes.gone)
        else:
            rows, batches = self._write_whole(backend, data), changes.total
        holdings.remember_relation(backend, self.qualified_name, "table", logic, data, _run_id())
        read = changes.stale if reason is None else None
        confirm_raw_files(backend, warehouse.raw_store(self._config), data, read)
        reads = find_reads(backend, data, read)
        return WriteReport(self.qualified_name, rows, 0, batches=batches, reason=reason or "", reads=reads)

    def find_files(self) -> tuple[str, int, int] | None:
        """The folder, number and bytes of the table's own files; None where its rows are in the DuckDB file."""
        return None

    def plan(self, data: ir.Table, assume: Mapping[str, str]) -> tuple[holdings.Changes, str | None]:
        """What a save would write: the batches that differ, and why all would be written if so.

        Args:
            data: The expression.
            assume: What relations that are about to change will hold, see `holdings.expect`.
        """
        backend = self.connection
        logic = logic_for(backend, self.qualified_name, data)
        holdings.expect(backend, data, logic, assume)
        changes = holdings.changes(backend, holdings.held_rows(self.qualified_name))
        return changes, self._why_whole(backend, data, logic, changes)

    def _why_whole(self, backend: Any, data: ir.Table, logic: str, changes: holdings.Changes) -> str | None:
        """Why all batches have to be written, or None."""
        columns, named = self._columns_of(self._table_name), _run().batches
        if not columns and not named:
            return NOT_BUILT
        found = relation_catalog.find(backend, self._database, self._table_name)
        if found is not None and found.kind != self._kind:
            return "its rows were kept elsewhere"
        if _run().full_refresh:
            return "a full refresh was asked for"
        if columns and columns != [(name, spell_type(kind)) for name, kind in data.schema().items()]:
            return OTHER_COLUMNS
        if named:
            return why_not_local(data)
        (held,) = backend.raw_sql(
            f"SELECT coalesce(sum(rows), 0) FROM ({holdings.held_rows(self.qualified_name)})"
        ).fetchone()
        (found,) = backend.raw_sql(f"SELECT count(*) FROM {self._qualified}").fetchone()
        if held != found:
            return f"it holds {found:,} rows where the lake wrote {held:,}"
        if not changes:
            return None
        if (reason := holdings.why_differs(backend, self.qualified_name, logic)) is not None:
            return reason
        if len(changes.stale) == changes.total:
            return "every batch changed"
        return why_not_local(data)

    def _write_whole(self, backend: Any, data: ir.Table) -> int:
        self._make(backend, data)
        holdings.remember_batches(backend, self.qualified_name, self._qualified, None)
        (rows,) = backend.raw_sql(f"SELECT count(*) FROM {self._qualified}").fetchone()
        return int(rows)

    def _make(self, backend: Any, data: ir.Table) -> None:
        batches = [batch for batch, _ in holdings.expected(backend, None)]
        local = why_not_local(data) is None and can_be_restricted(backend, data)
        # The files of a portion hold no other batch: its rows need no filter, under which DuckDB is slower.
        whole = compile_typed(backend, data) if not local or reads_files_only(backend, data) else None
        for number, portion in enumerate(portions_of(backend, batches) if local else [None]):
            write = f"INSERT INTO {self._qualified}" if number else f"CREATE OR REPLACE TABLE {self._qualified} AS"
            if whole is not None or portion is None:
                query = whole or compile_typed(backend, data)
            else:
                query = compile_narrowed(backend, data, portion)
            with nullcontext() if portion is None else restricted(backend, data, portion):
                backend.raw_sql(f"{write} {query} ORDER BY {self._order}")
        for column in self._indexes:
            name = quote(f"{self._table_name}_{column}")
            backend.raw_sql(f"CREATE INDEX {name} ON {self._qualified} ({quote(column)})")
        self._comment(backend, data.columns)

    def _write_batches(self, backend: Any, data: ir.Table, changes: holdings.Changes) -> int:
        if not self._exists():
            # The batches that a run names are the first ones.
            self._make(backend, data.limit(0))
            relation_catalog.forget()
            holdings.forget_batches(backend, self.qualified_name)
        touched = "temp.main.touched_batches"
        list_batches(backend, touched, [*changes.stale, *changes.gone])
        backend.raw_sql(f"DELETE FROM {self._qualified} WHERE batch_id IN (SELECT batch_id FROM {touched})")
        rows = 0
        if changes.stale:
            query = compile_narrowed(backend, data, changes.stale)
            with restricted(backend, data, changes.stale):
                (rows,) = backend.raw_sql(f"INSERT INTO {self._qualified} {query} ORDER BY {self._order}").fetchone()
        holdings.remember_batches(backend, self.qualified_name, self._qualified, touched)
        return int(rows)

    @property
    def _order(self) -> str:
        return ", ".join(map(quote, self._order_by))


def _run() -> Run:
    return current_run() or Run()


def _run_id() -> str | None:
    run = current_run()
    return None if run is None else run.run_id
