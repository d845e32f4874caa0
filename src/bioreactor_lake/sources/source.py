"""The sources of `parameters_sources.yml`: where they are, what is asked of them, and which column means what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import available_timezones

from bioreactor_lake.errors import UsageError
from bioreactor_lake.landing.zone import confirm_source
from bioreactor_lake.sources.checked import checked, name_list

BATCH_SHEETS, SAMPLE_RESULTS = "batch_sheets", "sample_results"
MEANINGS = {
    BATCH_SHEETS: ("batch_id", "product", "recipe", "inoculation_time"),
    SAMPLE_RESULTS: ("batch_id", "sample_id", "tag", "sampled_at", "value", "unit"),
}
"""What the columns of a source can mean, by the table that they go into."""
_NEEDED = {BATCH_SHEETS: ("batch_id",), SAMPLE_RESULTS: ("batch_id", "sample_id", "tag", "sampled_at", "value")}
_AUTH = ("basic", "bearer", "api_key")


@dataclass(frozen=True)
class ExtractedTable:
    """One table of a source.

    Args:
        name: Its name, that of its folder in the landing zone.
        key: Columns that tell its records apart.
        watermark: Column that grows when a record changes: only what is as new as the newest that landed is asked
            for. None: all records are asked for each time, and the last extract is the whole table.
        overlap: How much before the watermark is asked for again: seconds, or units of a number.
        query: SQL for all of its records.
        path: Of a REST API, under its base URL.
        params: Query parameters; those with `{since}` are left out where everything is asked for.
        records: JSON path to the records of an answer.
        paginator: How further pages are found, as dlt's `rest_api` has it.
    """

    name: str
    key: tuple[str, ...]
    watermark: str | None = None
    overlap: float = 0
    query: str = ""
    path: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    records: str | None = None
    paginator: Any = None


@dataclass(frozen=True)
class Join:
    """A table of the source whose records stand beside those of another.

    Args:
        table: The table.
        by: Column of the records so far, perhaps `table:column` of one that was joined before.
        key: Column of the table that is equal to it.
    """

    table: str
    by: str
    key: str


@dataclass(frozen=True)
class Mapped:
    """Which columns of a source become which of the lake.

    Args:
        table: The table whose records become rows.
        columns: Meaning to column; `table:column` is one of a joined table.
        joins: The joined tables.
        tags: The tags of the lake by the source's own names.
    """

    table: str
    columns: Mapping[str, str]
    joins: tuple[Join, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that it reads."""
        return tuple(dict.fromkeys([self.table, *(join.table for join in self.joins)]))

    def columns_of(self, table: str) -> tuple[str, ...]:
        """The columns of one of them that it needs."""
        named = [*self.columns.values(), *(join.by for join in self.joins)]
        placed = [split_column(column, self.table) for column in named]
        own = [join.key for join in self.joins if join.table == table]
        return tuple(dict.fromkeys([column for name, column in placed if name == table] + own))


@dataclass(frozen=True)
class RestApi:
    """A REST API.

    Args:
        base_url: Its address.
        auth: `basic`, `bearer` or `api_key`; None for none.
        auth_name: Of an API key: the header or parameter.
        auth_location: Of an API key: `header`, `query` or `cookie`.
        headers: Sent with every request.
        paginator: As for `ExtractedTable`.
        requests_per_second: No more than so many.
        timeout_seconds: How long an answer may take.
        longest_wait_seconds: How long a `Retry-After` is waited for at most.
        max_pages: How many pages a table may have; a server whose pages never end is told from a large one by it.
    """

    base_url: str
    auth: str | None = None
    auth_name: str = "Authorization"
    auth_location: str = "header"
    headers: Mapping[str, str] = field(default_factory=dict)
    paginator: Any = "auto"
    requests_per_second: float | None = None
    timeout_seconds: float = 60
    longest_wait_seconds: float = 300
    max_pages: int = 100_000


@dataclass(frozen=True)
class Source:
    """A LIMS, ELN or other system that the lake takes extracts of.

    Args:
        name: Its name, that of its folder in the landing zone.
        credentials: The entry of Kedro's credentials; None for none.
        tables: What is asked of it, by name.
        rest: Its REST API; None for an SQL database, whose URL is the credentials' `url`.
        time_zone: Zone of its times that carry none.
        mapped: What becomes batch sheets and sample results.
    """

    name: str
    credentials: str | None
    tables: Mapping[str, ExtractedTable]
    rest: RestApi | None = None
    time_zone: str = ""
    mapped: Mapping[str, Mapped] = field(default_factory=dict)


def read_sources(given: Mapping[str, Any] | None) -> dict[str, Source]:
    """The sources of the parameter group `sources`.

    Raises:
        UsageError: Something in it means nothing; the message names it.
    """
    return {name: _read_source(name, content) for name, content in checked(given or {}, "sources").items()}


def split_column(column: str, table: str) -> tuple[str, str]:
    """The table and the column of `table:column`; of a column alone, the table that is given."""
    name, separator, rest = column.partition(":")
    return (name, rest) if separator else (table, column)


def _read_source(name: str, given: Any) -> Source:
    where = f"sources.{confirm_source(name)}"
    content = checked(given, where, "credentials", "sql", "rest", "time_zone", "tables", BATCH_SHEETS, SAMPLE_RESULTS)
    is_rest = "rest" in content
    if is_rest == ("sql" in content):
        raise UsageError(f"Parameter {where} is to have either sql or rest.", next_step="See docs/lims.md.")
    tables = {
        table: _read_table(table, one, f"{where}.tables.{table}", is_rest)
        for table, one in checked(content.get("tables") or {}, f"{where}.tables").items()
    }
    if not tables:
        raise UsageError(f"Parameter {where} names no tables.", next_step="See docs/lims.md.")
    if not is_rest:
        checked(content["sql"] or {}, f"{where}.sql")
    zone = str(content.get("time_zone") or "")
    if zone and zone not in available_timezones():
        raise UsageError(f"Parameter {where}.time_zone is {zone!r}, which is no zone.", next_step="Use an IANA name.")
    mapped = {
        kind: _read_mapping(content[kind], f"{where}.{kind}", kind, tables) for kind in MEANINGS if content.get(kind)
    }
    rest = _read_rest(content["rest"], f"{where}.rest") if is_rest else None
    return Source(name, content.get("credentials"), tables, rest, zone, mapped)


def _read_rest(given: Any, where: str) -> RestApi:
    content = checked(given, where, *RestApi.__dataclass_fields__)
    if not str(content.get("base_url") or "").startswith(("http://", "https://")):
        raise UsageError(f"Parameter {where}.base_url is no URL.", next_step="Write https://host/path/.")
    if content.get("auth") not in (None, *_AUTH):
        raise UsageError(f"Parameter {where}.auth is {content['auth']!r}.", next_step=f"Use one of {', '.join(_AUTH)}.")
    pages = content.get("max_pages", RestApi.max_pages)
    if isinstance(pages, bool) or not isinstance(pages, int) or pages < 1:
        raise UsageError(
            f"Parameter {where}.max_pages is {pages!r}.", next_step="Write a whole number, such as 100000."
        )
    return RestApi(**content)


def _read_table(name: str, given: Any, where: str, is_rest: bool) -> ExtractedTable:
    confirm_source(name)
    own = ("path", "params", "records", "paginator") if is_rest else ("query",)
    content = checked(given, where, "key", "watermark", "snapshot", "overlap", *own)
    if bool(content.get("watermark")) == bool(content.pop("snapshot", False)):
        raise UsageError(
            f"Parameter {where} is to have either a watermark or snapshot: true.", next_step="See docs/lims.md."
        )
    if not content.get(own[0]):
        raise UsageError(f"Parameter {where} has no {own[0]}.", next_step="See docs/lims.md.")
    key = name_list(content.pop("key", None), f"{where}.key")
    overlap = content.pop("overlap", 0)
    if isinstance(overlap, bool) or not isinstance(overlap, int | float) or overlap < 0:
        raise UsageError(f"Parameter {where}.overlap is {overlap!r}.", next_step="Write a number, such as 600.")
    if is_rest:
        params = checked(content.pop("params", None) or {}, f"{where}.params")
        content["params"] = {param: str(value) for param, value in params.items()}
        if content.get("watermark") and not any("{since}" in value for value in content["params"].values()):
            raise UsageError(
                f"Parameter {where} has a watermark, and no parameter says {{since}}.",
                next_step="Name the API's parameter for it under params, or use snapshot: true.",
            )
    return ExtractedTable(name, key, overlap=overlap, **content)


def _read_mapping(given: Any, where: str, kind: str, tables: Mapping[str, ExtractedTable]) -> Mapped:
    content = checked(given, where, "table", "columns", "joins", *(["tags"] if kind == SAMPLE_RESULTS else []))
    joins = []
    for table, one in checked(content.get("joins") or {}, f"{where}.joins").items():
        joined = checked(one, f"{where}.joins.{table}", "by", "key")
        joins.append(Join(table, str(joined.get("by") or ""), str(joined.get("key") or "")))
        if not joins[-1].by or not joins[-1].key:
            raise UsageError(f"Parameter {where}.joins.{table} needs by and key.", next_step="See docs/lims.md.")
    columns = {meaning: str(column) for meaning, column in checked(
        content.get("columns") or {}, f"{where}.columns", *MEANINGS[kind]
    ).items()}  # fmt: skip
    if missing := [meaning for meaning in _NEEDED[kind] if not columns.get(meaning)]:
        raise UsageError(f"Parameter {where}.columns does not say {missing[0]}.", next_step="Name the source's column.")
    _confirm_tables(where, content.get("table"), joins, columns.values(), tables)
    tags = checked(content.get("tags") or {}, f"{where}.tags")
    return Mapped(
        content["table"],
        columns,
        _in_order(joins, content["table"], where),
        {str(name): str(tag) for name, tag in tags.items()},
    )


def _in_order(joins: Sequence[Join], table: str, where: str) -> tuple[Join, ...]:
    """Joins, each after those that it needs."""
    ordered: list[Join] = []
    left = [*joins]
    while left:
        known = {table, *(join.table for join in ordered)}
        ready = [join for join in left if split_column(join.by, table)[0] in known]
        if not ready:
            raise UsageError(
                f"Parameter {where}.joins.{left[0].table} is by {left[0].by!r}, whose table is not joined.",
                next_step="Join that table as well.",
            )
        ordered += ready
        left = [join for join in left if join not in ready]
    return tuple(ordered)


def _confirm_tables(
    where: str, table: Any, joins: Sequence[Join], columns: Any, tables: Mapping[str, ExtractedTable]
) -> None:
    known = [table, *(join.table for join in joins)]
    for name in known:
        if name not in tables:
            raise UsageError(
                f"Parameter {where} names the table {name!r}, which the source does not have.",
                next_step=f"Use one of {', '.join(tables)}.",
            )
    for column in columns:
        if ":" in column and column.partition(":")[0] not in known:
            raise UsageError(f"Parameter {where}.columns has {column!r}, whose table is not joined.")
