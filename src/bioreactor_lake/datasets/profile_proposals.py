"""A profile for a file that none reads: what can be seen from its first lines, and what a person has to say."""

from __future__ import annotations

import codecs
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from bioreactor_lake.landing.streams import open_text_bytes
from bioreactor_lake.pipelines.ingestion.reading_rules import ReadingRules, UnreadableFile
from bioreactor_lake.sql import literal

_HEAD = 1 << 20
_ZIP = b"PK\x03\x04"
_ELAPSED = re.compile(
    r"elapsed|relative|age|duration|exp.?time|^(?:time|t)?\W*(?:s|sec|min|h|hr|hours?|d|days?)\W*$", re.I
)
_UNITS = (("min", r"min"), ("h", r"\bh|hour|hr"), ("d", r"\bd\b|day"), ("s", r""))
_FORMATS = (
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M",
    "%Y-%m-%d %H.%M.%S", "%Y%m%d %H:%M:%S", "%Y%m%d%H%M%S", "%d-%b-%Y %H:%M:%S", "%d %b %Y %H:%M:%S",
)  # fmt: skip
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?")
_ZONE = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")


@dataclass(frozen=True)
class Proposal:
    """A profile as far as it can be guessed.

    Args:
        config: The profile.
        open_questions: What a person has to say or confirm.
    """

    config: Mapping[str, Any]
    open_questions: tuple[str, ...]


def propose_profile(location: Path, rules: ReadingRules) -> Proposal:
    """Look at the first lines of a file.

    Args:
        location: The file.
        rules: The spellings of columns that raw files may have.

    Raises:
        UnreadableFile: Nothing can be made of it.
        OSError: It cannot be read.
    """
    with location.open("rb") as stream:
        if stream.read(4) == _ZIP:
            return _of_workbook(location, rules)
    with open_text_bytes(location, 1 << 40) as stream:
        start = stream.read(_HEAD)
    encoding, text = _decode(start)
    if not text.strip():
        raise UnreadableFile("it is empty", next_step="look at it")
    found = _sniff(text)
    lines: dict[str, Any] = {"skip_top": found.skipped} if found.skipped else {}
    if not found.has_header:
        lines |= {"header": 0, "columns": list(found.columns)}
    layout: dict[str, Any] = {"encoding": encoding} if encoding != "utf-8" else {}
    layout |= {"delimiter": "tab" if found.delimiter == "\t" else found.delimiter}
    if found.decimal != ".":
        layout["decimal"] = found.decimal
    config, questions = _of_columns(found.columns, found.rows, rules, found.decimal)
    return Proposal({"version": 1, "text": layout, **({"lines": lines} if lines else {}), **config}, tuple(questions))


@dataclass(frozen=True)
class _Sniffed:
    """What the first lines look like."""

    delimiter: str
    skipped: int
    has_header: bool
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def decimal(self) -> str:
        cells = [cell for row in self.rows for cell in row]
        with_comma = sum(bool(re.fullmatch(r"[+-]?\d+,\d+", cell.strip())) for cell in cells)
        with_point = sum(bool(re.fullmatch(r"[+-]?\d+\.\d+", cell.strip())) for cell in cells)
        return "," if self.delimiter != "," and with_comma > with_point else "."


def _sniff(text: str) -> _Sniffed:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        # Only whole lines: the last one may be cut off.
        path = Path(folder, "head.csv")
        path.write_text(text if len(text) < _HEAD // 4 else text.rpartition("\n")[0], encoding="utf-8", newline="")
        try:
            row = connection.execute(
                f"SELECT Delimiter, SkipRows, HasHeader FROM sniff_csv({literal(str(path))}, all_varchar = true, "
                "null_padding = false)"
            ).fetchone()
            assert row is not None
            delimiter, skipped, has_header = row
            cursor = connection.execute(
                f"FROM read_csv({literal(str(path))}, delim = {literal(delimiter)}, skip = {skipped}, header = false, "
                "all_varchar = true, ignore_errors = true) LIMIT 50"
            )
        except duckdb.Error as error:
            raise UnreadableFile(
                f"no table can be seen in it ({str(error).splitlines()[0]})",
                next_step="write a profile for it by hand: docs/profiles.md",
            ) from error
        rows = [tuple(cell or "" for cell in row) for row in cursor.fetchall()]
    # With all columns as text, DuckDB takes the first line for data where it cannot tell it from them.
    first = rows[0] if rows else ()
    is_header = bool(has_header) or not any(re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?", cell.strip()) for cell in first)
    names = (
        [name.strip() or f"column {i}" for i, name in enumerate(first, 1)]
        if is_header
        else [f"column {i}" for i in range(1, len(first) + 1)]
    )
    return _Sniffed(delimiter, skipped, is_header, tuple(names), tuple(rows[1:] if is_header else rows))


def _decode(start: bytes) -> tuple[str, str]:
    for bom, name in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if start.startswith(bom):
            return name, codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)("replace").decode(start)
    try:
        return "utf-8", codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "cp1252", start.decode("cp1252", "replace")


def _of_workbook(location: Path, rules: ReadingRules) -> Proposal:
    from bioreactor_lake.landing.workbook_cells import first_rows

    sheet, rows = first_rows(location, 60)
    width = max((sum(bool(cell) for cell in row) for row in rows), default=0)
    if not width:
        raise UnreadableFile("its first sheet has no cells", next_step="look at it")
    top = next(i for i, row in enumerate(rows) if sum(bool(cell) for cell in row) == width)
    names = tuple(name.strip() or f"column {i}" for i, name in enumerate(rows[top], 1))
    config, questions = _of_columns(names, [tuple(row) for row in rows[top + 1 :]], rules, ".")
    lines = {"lines": {"skip_top": top}} if top else {}
    return Proposal({"version": 1, "excel": {"sheet": sheet}, **lines, **config}, tuple(questions))


def _of_columns(
    names: Sequence[str], rows: Sequence[Sequence[str]], rules: ReadingRules, decimal: str
) -> tuple[dict[str, Any], list[str]]:
    columns = {name: [row[i].strip() for row in rows if i < len(row)] for i, name in enumerate(names)}
    meant: dict[str, str] = {}
    for name in names:
        if (meaning := rules.canonical(name)) is not None:
            meant.setdefault(meaning, name)
    questions: list[str] = []
    config: dict[str, Any] = {"time": _time(columns, meant, decimal, questions)}
    for key, column, guess in (
        ("batch", "batch_id", {"path": r"(?P<found>[^/]+?)\.[^/]*$"}),
        ("equipment", "equipment_id", {"value": "unknown"}),
        ("site", "site", None),
    ):
        if column in meant:
            config[key] = {"column": meant[column]}
        elif guess is not None:
            config[key] = guess
            taken = "the file's name" if key == "batch" else "the value given"
            questions.append(f"{key}: no column is called like it, {taken} is taken.")
    if "tag" in meant and "value" in meant:
        config["long"] = {"tag": meant["tag"], "value": meant["value"]}
        config["long"] |= {name: meant[name] for name in ("unit", "quality") if name in meant}
    else:
        config["wide"] = {}
        if any(re.search(r"[\[(].+[\])]\s*$", name) for name in columns):
            config["tags"] = {"pattern": r"^(?P<tag>.*?)\s*(?:[\[(](?P<unit>[^\])]*)[\])])?\s*$"}
    return config, questions


def _time(
    columns: Mapping[str, list[str]], meant: Mapping[str, str], decimal: str, questions: list[str]
) -> dict[str, Any]:
    named = [meant["ts"]] if "ts" in meant else []
    for name in dict.fromkeys([*named, *columns]):
        values = [value for value in columns[name] if value][:50]
        if (found := _format_of(values)) is not None:
            return _absolute(name, *found, questions)
    if len(split := [name for name in columns if re.search(r"date|time|datum|zeit|uhr", name, re.I)]) >= 2:
        pair = split[:2]
        joined = [" ".join(cells) for cells in zip(*(columns[name] for name in pair), strict=False) if all(cells)]
        if (found := _format_of(joined)) is not None:
            return _absolute(pair, *found, questions)
    number = re.compile(rf"[+-]?\d+(?:{re.escape(decimal)}\d+)?")
    numeric = [name for name, cells in columns.items() if cells and all(number.fullmatch(c) for c in cells if c)]
    elapsed = next((name for name in numeric if _ELAPSED.search(name)), numeric[0] if numeric else next(iter(columns)))
    unit = next(unit for unit, pattern in _UNITS if re.search(pattern, elapsed, re.I))
    questions.append(
        f"time.origin: no column has a date, so {elapsed!r} is taken to count {unit} from a start: say which."
    )
    return {"columns": elapsed, "unit": unit, "zone": "UTC", "origin": {"value": "2000-01-01T00:00:00Z"}}


def _absolute(columns: Any, form: str, has_zone: bool, questions: list[str]) -> dict[str, Any]:
    time: dict[str, Any] = {"columns": columns, "format": form}
    if not has_zone:
        questions.append("time.zone: its times carry no zone. UTC is a guess: say which clock wrote them.")
        time["zone"] = "UTC"
    if "%d/%m" in form or "%m/%d" in form:
        questions.append(f"time.format: {form} fits; see that day and month are not the other way round.")
    return time


def _format_of(values: Sequence[str]) -> tuple[str, bool] | None:
    """The format of texts that are all times, and whether they carry a zone."""
    from datetime import datetime

    if not values:
        return None
    if all(_ISO.match(value) for value in values):
        return "iso", all(_ZONE.search(value) for value in values)
    for form in _FORMATS:
        try:
            for value in values:
                datetime.strptime(value, form)  # noqa: DTZ007 - only whether it fits
        except ValueError:
            continue
        return form, False
    return None
