"""Expectations about rows that are seen beside others: uniqueness, order, and rows of other tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from bioreactor_lake.quality.comparisons import NotAskable, all_of
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.querying import fetch
from bioreactor_lake.quality.questions import (
    BATCH,
    Answers,
    Measure,
    Question,
    Subject,
    ask_by,
    column_of,
    count_rows,
    judge_rows,
)
from bioreactor_lake.quality.row_questions import present

# So many keys of another engine's table are sent along with a query, and no more.
_SENT = 10_000
# So many batches are named one by one; of more, all are looked at.
_LISTED = 200
# So many keys are counted at once, in some 200 MB.
_COUNTED = 4_000_000
_TIMES = "lake_times"
_KEYS = ("batch_id", "equipment_id", "tag", "ts")


def _ask_unique(subject: Subject, expectation: Expectation) -> Question:
    """Whether values, or combinations of values, occur once in the whole table; with a null in them they do."""
    kwargs = expectation.kwargs
    names = kwargs.get("column_list") or [kwargs["column"]]
    columns = [subject.column(name) for name in names]
    considered = present(columns, kwargs) if "column_list" in kwargs else columns[0].notnull()

    def repeated(table: ir.Table) -> ir.Table:
        rows = table.filter(all_of(subject.where(expectation, table), *(table[name].notnull() for name in names)))
        return rows.group_by(names).agg(**{_TIMES: rows.count()}).filter(lambda keys: keys[_TIMES] > 1)

    def failing() -> ir.Table:
        rows = subject.table.filter(all_of(subject.where(expectation)))
        return rows.semi_join(repeated(subject.table if BATCH in names else subject.whole), names)

    def ask(measured: Answers) -> Answers:
        if BATCH in names or not subject.by_batch:
            found: Answers = {}
            for part in _part(subject, measured):
                rows = part.filter(all_of(subject.where(expectation, part)))
                if _may_repeat(rows, names):
                    keys = repeated(part)
                    found |= ask_by(subject, keys, failing=keys[_TIMES].sum())
            return found
        rows = failing()
        return ask_by(subject, rows, failing=rows.count())

    where = subject.where(expectation)
    return Question(
        judge_rows(expectation),
        {"rows": count_rows(subject.table, where, considered)},
        ask=ask,
        failing=failing,
        order=tuple(names),
    )


def _part(subject: Subject, measured: Answers) -> Iterator[ir.Table]:
    """The rows of some batches at a time, so that what is counted of all of them need not fit into memory."""
    batches = sorted(batch for batch in measured if batch is not None)
    if not subject.by_batch or sum(one["rows"] for one in measured.values()) <= _COUNTED:
        yield subject.table
        return
    some: list[str] = []
    rows = 0
    for batch in batches:
        some.append(batch)
        rows += measured[batch]["rows"]
        if rows >= _COUNTED or batch == batches[-1]:
            yield subject.table.filter(subject.table[BATCH].isin(some))
            some, rows = [], 0


def _may_repeat(rows: ir.Table, names: Sequence[str]) -> bool:
    """Whether two rows may have the same values: numbers made of them are counted in half the room and time."""
    if rows.get_backend().name != "duckdb":
        return True
    numbers = rows.select(lake_number=ibis.struct({name: rows[name] for name in names}).hash())
    keys = numbers.group_by("lake_number").agg(**{_TIMES: numbers.count()})
    return bool(fetch(keys.filter(keys[_TIMES] > 1).limit(1)))


def _ask_order(rising: bool) -> Callable[[Subject, Expectation], Question]:
    """Whether each value is no less, or no more, than the one before it; nulls are passed over, the first has a bye."""

    def ask_order(subject: Subject, expectation: Expectation) -> Question:
        kwargs = expectation.kwargs
        column = subject.column(kwargs["column"])
        groups = [BATCH] if subject.by_batch else []
        groups += [name for name in kwargs.get("group_by", ()) if name not in groups]
        for name in (*groups, *kwargs["order_by"]):
            subject.column(name)
        considered = [subject.where(expectation), column.notnull()]

        def failing() -> ir.Table:
            rows = subject.table.filter(all_of(*considered))
            value = rows[kwargs["column"]]
            before = value.lag().over(group_by=[rows[name] for name in groups], order_by=kwargs["order_by"])
            rows = rows.mutate(lake_before=before)
            value, before = rows[kwargs["column"]], rows.lake_before
            if kwargs.get("strictly"):
                wrong = value <= before if rising else value >= before
            else:
                wrong = value < before if rising else value > before
            return rows.filter(before.notnull() & wrong)

        def ask(measured: Answers) -> Answers:
            rows = failing()
            return ask_by(subject, rows, failing=rows.count())

        measures = {"rows": count_rows(subject.table, *considered)}
        return Question(judge_rows(expectation), measures, ask=ask, failing=failing)

    return ask_order


def _ask_existing(subject: Subject, expectation: Expectation) -> Question:
    """Whether values exist in a column of another table; nulls are passed over."""
    kwargs = expectation.kwargs
    column, other = subject.column(kwargs["column"]), subject.other(kwargs["other_table_name"])
    known = column_of(other, kwargs.get("other_column", kwargs["column"]), kwargs["other_table_name"])
    considered = [subject.where(expectation), column.notnull()]

    def failing() -> ir.Table:
        rows = subject.table.filter(all_of(*considered))
        value = rows[kwargs["column"]]
        if other.get_backend() is subject.table.get_backend():
            keys = other.select(lake_key=known).distinct()
            return rows.anti_join(keys, value == keys.lake_key)
        found = fetch(other.select(lake_key=known).distinct().limit(_SENT + 1))
        if len(found) > _SENT:
            raise NotAskable(f"{kwargs['other_table_name']} is in another database and has over {_SENT:,} values.")
        return rows.filter(~value.isin([row["lake_key"] for row in found if row["lake_key"] is not None]))

    def ask(measured: Answers) -> Answers:
        rows = failing()
        return ask_by(subject, rows, failing=rows.count())

    return Question(judge_rows(expectation), {"rows": count_rows(subject.table, *considered)}, ask=ask, failing=failing)


def _ask_one_file(subject: Subject, expectation: Expectation) -> Question:
    """Whether every key is in the rows of one file only.

    Looking at every key costs as much as all other checks together. Files can only share keys in batches that have
    several, and where their ranges of the last key column, the time, overlap; that is found from one row per file and
    combination of the other columns.
    """
    kwargs = expectation.kwargs
    keys = list(kwargs.get("column_list", _KEYS))
    others, last = keys[:-1], keys[-1]
    file = kwargs.get("file_column", "source_file")
    for name in (*keys, file):
        subject.column(name)
    if subject.by_batch and BATCH not in keys:
        raise NotAskable(f"{BATCH} has to be among the keys, or the scope has to be table.")
    where = subject.where(expectation)

    def overlapping(rows: ir.Table) -> ir.Table:
        rows = rows.filter(all_of(*(rows[name].notnull() for name in keys)))
        parts = rows.group_by(*others, file).agg(lake_low=rows[last].min(), lake_high=rows[last].max())
        before = ibis.window(group_by=others, order_by=["lake_low", file], preceding=(None, 1))
        parts = parts.mutate(lake_reach=parts.lake_high.max().over(before))
        return parts.filter(parts.lake_reach >= parts.lake_low)

    def shared(rows: ir.Table) -> ir.Table:
        if others:
            rows = rows.semi_join(overlapping(rows).select(*others).distinct(), others)
        counted = rows.group_by(keys).agg(
            **{_TIMES: rows.count()}, lake_first=rows[file].min(), lake_last=rows[file].max()
        )
        return counted.filter(counted.lake_first != counted.lake_last)

    def ask(measured: Answers) -> Answers:
        suspects = [batch for batch, found in measured.items() if found["first"] != found["last"]]
        if subject.by_batch:
            suspects = [batch for batch in suspects if batch is not None]  # there is no key with a null in it
        rows = subject.table.filter(all_of(where))
        if subject.by_batch and len(suspects) <= _LISTED:
            rows = rows.filter(rows[BATCH].isin(suspects))
        if not suspects or not fetch(overlapping(rows).limit(1)):
            return {}
        found = shared(rows)
        return ask_by(subject, found, failing=found[_TIMES].sum())

    def failing() -> ir.Table:
        rows = subject.table.filter(all_of(where))
        return rows.semi_join(shared(rows), keys)

    return Question(
        judge_rows(expectation),
        {
            "rows": count_rows(subject.table, where),
            "first": Measure(subject.table[file].min(where=where)),
            "last": Measure(subject.table[file].max(where=where)),
        },
        ask=ask,
        failing=failing,
        order=(*keys, file),
    )


SEVERAL_ROWS: Mapping[str, Callable[[Subject, Expectation], Question]] = {
    "expect_column_values_to_be_unique": _ask_unique,
    "expect_compound_columns_to_be_unique": _ask_unique,
    "expect_column_values_to_be_increasing": _ask_order(rising=True),
    "expect_column_values_to_be_decreasing": _ask_order(rising=False),
    "expect_column_values_to_exist_in_other_table": _ask_existing,
    "expect_keys_to_be_in_one_file": _ask_one_file,
}
