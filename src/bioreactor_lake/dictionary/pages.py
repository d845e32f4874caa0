"""The data dictionary as Markdown pages, with a link wherever another table is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bioreactor_lake.dictionary.entries import RAW_FILES, Column, Dictionary, Entry, tables_of
from bioreactor_lake.lineage.origins import ROWS, ColumnOrigin
from bioreactor_lake.quality.expectations import Expectation
from bioreactor_lake.quality.spelling import spell
from bioreactor_lake.quality.tags import Tag

INDEX, TAGS, RECORDS = "index.md", "tags.md", "records.md"
_LAYERS = {
    "raw.md": (
        "Raw",
        ("landing", "raw"),
        "What was found in landed and in raw files, and their rows under canonical names; what LIMS and ELN say.",
    ),
    "staging.md": ("Staging", ("staging",), "Readings, and rows that are none, each with the reason."),
    "curated.md": ("Curated", ("intermediate", "curated"), "Series and statistics by batch."),
    "marts.md": ("Marts", ("marts",), "What dashboards read, in Postgres."),
}
_ABOUT = """\
Every table and column: what it is, its type and unit, where its values come from, and what is checked. It is made from
the catalog, the suites and the expressions of the nodes whenever these pages are built, and so says what the code does.
"""
_HOW_TO_READ = """\
Views and tables are in DuckDB, marts in Postgres. A *view* is computed whenever it is read. Times are UTC: in DuckDB
without a zone, in Postgres as `timestamp with time zone`. Numbers of readings are in the unit of their tag;
[tags](tags.md) lists those that the lake knows.

What is checked: a failing `warn` is said, a failing `error` holds the batch (readers keep seeing what was published of
it), a failing `fatal` stops the run.
"""
_ABOUT_TAGS = """\
What is measured or set, with the unit and the limits of `conf/base/tags.yml`. A value outside of the *physical* limits
is an error, an average outside of the *expected* ones a warning. A tag that is not listed passes, with a warning.
*Logging* says how readings come about: at a fixed rate (continuous), when the value changes (by exception), or from
samples (offline).
"""
_LISTED = 8
_SEVERITIES = {"warn": "is said", "error": "holds the batch", "fatal": "stops the run"}
_COMPARED = {"column", "column_A", "column_B", "column_list", "column_set"}


def write_pages(dictionary: Dictionary) -> dict[str, str]:
    """The pages by the names of their files.

    Args:
        dictionary: What is known.
    """
    places = {entry.name: page for page, (_, schemas, _) in _LAYERS.items() for entry in dictionary.entries
              if entry.schema in schemas}  # fmt: skip
    pages = {INDEX: _index(dictionary, places)}
    for page, (title, schemas, lead) in _LAYERS.items():
        entries = [entry for entry in dictionary.entries if entry.schema in schemas]
        pages[page] = _page(title, lead, entries, places, page)
    lead = "What runs write about themselves: their history, and what their checks found. Rows are only added."
    pages[RECORDS] = _page("Records of runs", lead, dictionary.records, places, RECORDS)
    pages[TAGS] = _tags(dictionary.tags)
    return pages


def write_entry(entry: Entry, level: int = 1) -> str:
    """One table by itself, without links to others.

    Args:
        entry: The table.
        level: The level of its heading.
    """
    return "\n".join(_table(entry, {}, "", level))


def _index(dictionary: Dictionary, places: dict[str, str]) -> str:
    lines = [
        "# Data dictionary",
        "",
        _ABOUT,
        "",
        "| table | kind | columns | checks |",
        "|---|---|---|---|",
    ]
    for entry in (*dictionary.entries, *dictionary.records):
        place = f"{places.get(entry.name, RECORDS)}#{_anchor(entry.name)}"
        checks = f"{len(entry.expectations)}" if entry.expectations else ""
        about = f"[{entry.name}]({place})<br>{_cell(entry.description)}"
        lines.append(f"| {about} | {entry.kind} | {len(entry.columns)} | {checks} |")
    lines += [
        "",
        _HOW_TO_READ,
        "",
    ]
    return "\n".join(lines)


def _page(title: str, lead: str, entries: Sequence[Entry], places: dict[str, str], page: str) -> str:
    lines = [f"# {title}", "", lead, ""]
    for entry in entries:
        lines += [*_table(entry, places, page, 2), ""]
    return "\n".join(lines)


def _table(entry: Entry, places: dict[str, str], page: str, level: int) -> Iterator[str]:
    link = _Links(places, page)
    heading = "#" * level
    yield f"{heading} {entry.name}" + (f" {{ #{_anchor(entry.name)} }}" if page else "")
    yield ""
    yield f"{entry.description}."
    yield ""
    place = "Postgres" if entry.kind == "mart" else "DuckDB"
    called = f", `{entry.dataset}` in the catalog" if entry.dataset else ""
    yield f"A {entry.kind} in {place}{called}."
    if sources := tables_of(entry.rows):
        yield f"Made of {', '.join(map(link.table, sources))}."
    if readers := sorted({table for column in entry.columns for table, _ in column.dependents}):
        yield f"Goes into {', '.join(map(link.table, readers))}."
    yield ""
    yield "| column | type | unit | meaning and origin |"
    yield "|---|---|---|---|"
    for column in entry.columns:
        name = f"`{column.name}`" + (f"{{ #{_anchor(entry.name)}-{column.name} }}" if page else "")
        meaning = "<br>".join(part for part in (_cell(column.description), _origin(column, link)) if part)
        yield f"| {name} | {_cell(column.kind)} | {_cell(column.unit)} | {meaning} |"
    if decided := [one for one in entry.rows if not one.is_direct]:
        yield ""
        yield f"Which rows there are is decided by {_decisions(decided, link)}."
    if entry.expectations:
        yield ""
        yield f"{heading}# Checks" + (f" {{ #{_anchor(entry.name)}-checks }}" if page else "")
        yield ""
        yield "| check | of | expects | failing it |"
        yield "|---|---|---|---|"
        for one in entry.expectations:
            said = f"| {one.id} | {_subject(one)} | {_expects(one)} | {one.severity}: {_SEVERITIES[one.severity]} |"
            yield said


class _Links:
    def __init__(self, places: dict[str, str], page: str) -> None:
        self._places, self._page = places, page

    def table(self, name: str) -> str:
        """The name of a table, with a link where it has a page."""
        return self._link(name, f"`{name}`" if name != RAW_FILES else name, _anchor(name))

    def column(self, origin: ColumnOrigin) -> str:
        """A column with its table, with a link where it has a page."""
        if origin.column == ROWS:
            return f"rows of {self.table(origin.table)}"
        text = f"`{origin.table}.{origin.column}`" if origin.table != RAW_FILES else f"{RAW_FILES}: `{origin.column}`"
        return self._link(origin.table, text, f"{_anchor(origin.table)}-{origin.column}")

    def _link(self, table: str, text: str, anchor: str) -> str:
        if table not in self._places:
            return text
        page = self._places[table]
        return f"[{text}]({'' if page == self._page else page}#{anchor})"


def _origin(column: Column, link: _Links) -> str:
    if not column.origins:
        return f"= `{_code(column.expression)}`" if column.expression else ""
    origins = _list(dict.fromkeys(link.column(one) for one in column.origins))
    is_copy = [one.column for one in column.origins] == [column.expression]
    return f"← {origins}" + ("" if is_copy else f": `{_code(column.expression)}`")


def _decisions(origins: Sequence[ColumnOrigin], link: _Links) -> str:
    """What decides about rows, by the part that it plays."""
    parts: dict[str, dict[str, None]] = {}
    for one in origins:
        parts.setdefault(one.subtype.lower().replace("_", " "), {})[link.column(one)] = None
    return "; ".join(f"{_list(places)} ({part})" for part, places in parts.items())


def _subject(one: Expectation) -> str:
    columns = [one.kwargs[name] for name in ("column", "column_A", "column_B") if name in one.kwargs]
    columns += one.kwargs.get("column_list") or one.kwargs.get("column_set") or []
    about = "each batch" if one.scope == "batch" else "the table"
    return ", ".join(f"`{column}`" for column in columns) + (f", {about}" if columns else about)


def _expects(one: Expectation) -> str:
    words = one.type.removeprefix("expect_").replace("column_pair_", "").replace("column_", "").replace("_", " ")
    said = [f"{name}: {spell(value)}" for name, value in one.kwargs.items() if name not in _COMPARED]
    return _cell(words) + (f" ({_cell(', '.join(said))})" if said else "")


def _tags(tags: Sequence[Tag]) -> str:
    lines = [
        "# Tags",
        "",
        _ABOUT_TAGS,
        "",
        "| tag | what it is | unit | physical | expected | logging |",
        "|---|---|---|---|---|---|",
    ]
    for tag in tags:
        physical = _range(tag.physical_min, tag.physical_max)
        expected = _range(tag.expected_min, tag.expected_max)
        known = [f"`{tag.name}`", _cell(tag.description), _cell(tag.uom), physical, expected]
        lines.append(f"| {' | '.join(known)} | {tag.logging.replace('_', ' ')} |")
    return "\n".join([*lines, ""])


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "any"
    if low is None or high is None:
        return f"at most {high:,g}" if low is None else f"at least {low:,g}"
    return f"{low:,g} to {high:,g}"


def _list(places: Any) -> str:
    listed = list(places)
    more = len(listed) - _LISTED
    return ", ".join(listed[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _anchor(name: str) -> str:
    return name.replace(".", "-").replace(" ", "-")


def _cell(text: str) -> str:
    """Text that is no Markdown and no HTML, and stays in its cell."""
    for one in "\\`*_{}[]|":
        text = text.replace(one, f"\\{one}")
    return text.replace("<", "&lt;").replace("\n", " ")


def _code(text: str) -> str:
    return text.replace("`", "'").replace("|", "\\|").replace("\n", " ")
