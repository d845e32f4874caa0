"""Checkpoints: the suites of the lake's tables, asked where a table has changed since it was last checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir
import psycopg

from bioreactor_lake.datasets import MANIFEST, holdings, verdicts, warehouse
from bioreactor_lake.datasets.mart_relations import open_mart
from bioreactor_lake.datasets.raw_check import confirm_raw_files
from bioreactor_lake.datasets.raw_restriction import reads_files_only, restricted
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.locality import BATCH
from bioreactor_lake.lake.logic import WHOLE
from bioreactor_lake.lake.runs import CheckReport, Run
from bioreactor_lake.quality.checks import check_table
from bioreactor_lake.quality.configuration import QualitySettings
from bioreactor_lake.quality.kept_questions import OF_THE_CLOCK
from bioreactor_lake.quality.spelling import plural
from bioreactor_lake.quality.suite import WAREHOUSE, Suite
from bioreactor_lake.quality.verdicts import ERROR, WARN, Verdict

_SAID = 3


@dataclass
class Checkpoints:
    """The suites of a run.

    Args:
        catalog: The catalog of the run.
        settings: The suites by the catalog's names of tables, and what they look things up in.
    """

    catalog: Any
    settings: QualitySettings

    @property
    def tables(self) -> set[str]:
        """The tables and marts that have a suite, by schema and name."""
        return {self.catalog[name].qualified_name for name in self.settings.suites}

    def check(self, name: str, run: Run) -> None:
        """Check what a table of the warehouse holds that was not checked before, and keep the verdicts.

        Args:
            name: The catalog's name of the table; one without a suite, or that is not there, is passed over.
            run: The run, which is told of warnings and of what fails about the table.

        Raises:
            LakeError: The table fails something that nothing may be built on.
        """
        suite = self.settings.suites.get(name)
        dataset = self.catalog[name] if suite is not None else None
        if suite is None or not isinstance(dataset, WarehouseDataset) or not dataset.exists():
            return
        backend, table = dataset.connection, dataset.qualified_name
        verdicts.ensure(backend)
        version = self._version(suite)
        unchecked, is_all = verdicts.find_unchecked(backend, table, holdings.held_by(backend, table), version)
        if unchecked:
            batches = [batch for batch in unchecked if batch != verdicts.TABLE]
            found = self._ask(dataset, suite, None if is_all else batches)
            verdicts.remember(backend, table, unchecked, version, found, run_id=run.run_id, forget_others=True)
            run.has_results = True
            self._tell(table, found, run)
        elif (of_the_clock := _of_the_clock(suite)).expectations:
            found = self._ask(dataset, of_the_clock, None)
            only = [one.id for one in of_the_clock.expectations]
            if not verdicts.are_known(backend, table, found, only):
                verdicts.remember(backend, table, {}, version, found, run_id=run.run_id, only=only)
                run.has_results = True
            self._tell(table, found, run)
        self._judge(backend, [table], run)

    def forget_others(self, run: Run) -> None:
        """Drop what is kept of tables that have no suite any more, or of marts that had another one.

        Nobody could mend what nobody asks for.
        """
        backend = self.catalog[MANIFEST].connection
        gone = verdicts.forget_tables(backend, self.tables)
        for name, suite in self.settings.suites.items():
            dataset = self.catalog[name]
            if not isinstance(dataset, WarehouseDataset):
                gone |= verdicts.forget_other_suites(backend, dataset.qualified_name, self._version(suite))
        if gone:
            run.has_results = True

    def refuse_to_build_on(self, names: Sequence[str], run: Run) -> None:
        """Stop where a table that something is to be built on fails what nothing may be built on.

        Args:
            names: The catalog's names of the tables.
            run: The run.

        Raises:
            LakeError: One does, as it is now.
        """
        datasets = [self.catalog[name] for name in names if name in self.settings.suites]
        tables = [one for one in datasets if isinstance(one, WarehouseDataset)]
        if tables:
            self._judge(tables[0].connection, [one.qualified_name for one in tables], run)

    def find_unasked(self, mart: str, backend: Any, held: Sequence[str]) -> list[str]:
        """The batches of a mart of which its suite was not asked as they are.

        Args:
            mart: Schema and name.
            backend: The warehouse, after `holdings.expect`.
            held: Batches in it that are left as they are.
        """
        suite = self._suite_of(mart)
        if suite is None:
            return []
        verdicts.ensure(backend)
        return verdicts.find_unasked(backend, mart, self._version(suite), held)

    def check_published(
        self,
        mart: str,
        backend: Any,
        connection: psycopg.Connection[Any],
        data: ir.Table,
        rows: tuple[str, str],
        batches: Sequence[str] | None,
        held: Sequence[str],
        run: Run,
    ) -> list[str]:
        """Check what a publish has written, in its transaction.

        Args:
            mart: Schema and name of the mart.
            backend: The warehouse, after `holdings.expect`.
            connection: The transaction.
            data: What the rows were made from.
            rows: Schema and name of the table that has the rows.
            batches: The batches that were written; None for all that are in it.
            held: Batches in it that were not written.
            run: The run.

        Returns:
            The batches that fail an error.

        Raises:
            LakeError: The mart fails something that must not be published at all; everything has to be rolled back.
        """
        suite = self._suite_of(mart)
        if suite is None:
            return []
        verdicts.ensure(backend)
        written = open_mart(connection, *rows)
        if held:
            written = written.filter(~written[BATCH].isin(list(held)))
        beside = self._others(suite) | {f"{suite.table}{WAREHOUSE}": data}
        found = self._check(written, suite, batches, beside)
        about = {batch: print_ for batch, print_ in holdings.expected(backend, batches) if batch not in held}
        # Batches under names that no upstream has are as those that they are computed with.
        if shared := next((print_ for print_ in about.values() if print_.startswith(WHOLE)), None):
            about = {one.batch: shared for one in found if one.batch is not None} | about
        about[verdicts.TABLE] = verdicts.TABLE
        verdicts.remember(backend, mart, about, self._version(suite), found, run_id=run.run_id)
        run.has_results = True
        self._tell(mart, found, run)
        failures = [one for one in found if not one.success and one.severity != WARN]
        if stopping := [one for one in failures if one.stops]:
            sentences = [(verdicts.say(one), verdicts.say(one, quote=False)) for one in stopping]
            raise _refusal(mart, sentences, "The old mart is in place.")
        if of_table := tuple(verdicts.say(one) for one in failures if one.batch is None):
            run.failing_tables[mart] = of_table
        return [one.batch for one in failures if one.batch is not None]

    def _suite_of(self, mart: str) -> Suite | None:
        suites = self.settings.suites
        return next((suites[name] for name in suites if self.catalog[name].qualified_name == mart), None)

    def _ask(self, dataset: WarehouseDataset, suite: Suite, batches: list[str] | None) -> list[Verdict]:
        """Ask what is about batches of those batches, and the rest of the table; of all in one where all are asked."""
        of_batches = replace(suite, expectations=tuple(one for one in suite.expectations if one.scope == "batch"))
        of_table = replace(suite, expectations=tuple(one for one in suite.expectations if one.scope != "batch"))
        found: list[Verdict] = []
        for part, named in ((suite, None),) if batches is None else ((of_batches, batches), (of_table, None)):
            if not part.expectations or named == []:
                continue
            found += self._check_files(dataset, part, named, self._others(part))
        return found

    def _check_files(
        self, dataset: WarehouseDataset, suite: Suite, batches: list[str] | None, beside: Mapping[str, ir.Table]
    ) -> list[Verdict]:
        """Check; the files of other batches are not opened, unless an expectation looks beyond its batches.

        Raises:
            LakeError: A raw file changed since it was inspected: what was found is not about what the manifest says.
        """
        backend, table = dataset.connection, dataset.load()
        reading = [one for one in (table, *beside.values()) if batches and reads_files_only(backend, one)]
        if not reading or any(one.looks_beyond_batches for one in suite.expectations):
            found = self._check(table, suite, batches, beside)
        else:
            with restricted(backend, reading[0], batches or []):
                found = self._check(table, suite, batches, beside)
        store = warehouse.raw_store(dataset.warehouse_config)
        for one in (table, *beside.values()):
            confirm_raw_files(backend, store, one, batches)
        return found

    def _check(
        self, table: ir.Table, suite: Suite, batches: Sequence[str] | None, beside: Mapping[str, ir.Table]
    ) -> list[Verdict]:
        settings = self.settings
        return check_table(
            table, suite, batches=batches, tables=beside, tags=settings.tags, equipment=settings.equipment
        )

    def _others(self, suite: Suite) -> dict[str, ir.Table]:
        """Other tables that a suite looks at, as far as they are there."""
        names = [name for name in suite.other_tables if not name.endswith(WAREHOUSE) and self.catalog.exists(name)]
        return {name: self.catalog.load(name) for name in names}

    def _tell(self, table: str, found: Sequence[Verdict], run: Run) -> None:
        run.notices += _warnings(table, found)
        run.checks[table] = _reports(found)

    def _version(self, suite: Suite) -> str:
        return suite.fingerprint(self.settings.tags, self.settings.equipment)

    def _judge(self, backend: Any, tables: Sequence[str], run: Run) -> None:
        failing = verdicts.find_failing(backend, tables)
        for table in tables:
            mine = [one for one in failing if one.table == table]
            if stopping := [one for one in mine if one.stops]:
                raise _refusal(table, [(one.sentence, one.plain) for one in stopping], "Nothing was built on it.")
            sentences = [one.sentence for one in mine if one.batch == verdicts.TABLE and one.severity == ERROR]
            if sentences:
                run.failing_tables[table] = tuple(dict.fromkeys(sentences))


def _of_the_clock(suite: Suite) -> Suite:
    return replace(suite, expectations=tuple(one for one in suite.expectations if one.type in OF_THE_CLOCK))


def _reports(found: Sequence[Verdict]) -> tuple[CheckReport, ...]:
    """One for each expectation, however many batches it was asked of."""
    failed = {one.expectation_id for one in found if not one.success}
    asked = {one.expectation_id: one for one in found}
    return tuple(
        CheckReport(id_, one.type, str(one.kwargs.get("column", "")), id_ not in failed, one.severity)
        for id_, one in asked.items()
    )


def _warnings(table: str, found: Sequence[Verdict]) -> list[str]:
    """One line for each warning, however many batches it is about."""
    by_expectation: dict[str, list[Verdict]] = {}
    for one in found:
        if not one.success and one.severity == WARN:
            by_expectation.setdefault(one.expectation_id, []).append(one)
    lines = []
    for first, *more in by_expectation.values():
        lines.append(f"Warning: {table}: {verdicts.say(first)}{_where(first, more)}")
    return lines


def _where(first: Verdict, more: Sequence[Verdict]) -> str:
    """The batch that a sentence is about, and the others of which there is one like it."""
    here = f", in {first.batch}" if first.batch is not None else ""
    if not more:
        return here
    others = [str(one.batch) for one in more if one.batch is not None]
    named = ", ".join(others[:_SAID]) + (f" and {len(others) - _SAID:,} more" if len(others) > _SAID else "")
    return f"{here}; the like in {plural(len(others), 'other batch', 'other batches')}: {named}"


def _refusal(table: str, sentences: Sequence[tuple[str, str]], kept: str) -> LakeError:
    """The error for what fails, of which each sentence comes with one that holds no values of the data."""
    more = f" and {len(sentences) - _SAID:,} more" if len(sentences) > _SAID else ""
    what, plain = (
        f"{table} fails what nothing may be built on: {'; '.join(told[:_SAID])}{more}."
        for told in zip(*sentences, strict=True)
    )
    return LakeError(
        what,
        plain=plain,
        kept=kept,
        next_step="Look at it with kedro lake check, mend the data or the suite in conf/base/suites, then: kedro run",
    )
