"""Cells of a workbook's sheet, row by row."""

from __future__ import annotations

import zipfile
from collections.abc import Generator, Iterator, Sequence
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

from bioreactor_lake.errors import LakeError
from bioreactor_lake.landing.cells import CellsFile, Facts, facts_of, lines_wanted
from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile

_ROWS_AT_ONCE = 2_000
_MOST_PARTS = 10_000
# Texts of a workbook are read as a whole, and so is what describes its styles.
_IN_MEMORY = ("sharedStrings.xml", "styles.xml", "workbook.xml")
_MOST_IN_MEMORY = 100_000_000
_FORMULA = b"<f"


def read_workbook(location: Path, path: str, profile: Profile, limits: Limits, into: Path) -> Facts:
    """Write the cells of a sheet. Arguments, result and errors as for `read_text`.

    Formulas are not computed: what the program that wrote the file has stored as their value is read, and a row with a
    formula that has none is set aside.
    """
    rows = _rows(location, profile.sheet, limits)
    try:
        start = [row for _, row in zip(range(max(lines_wanted(profile), 1)), rows, strict=False)]
        facts = facts_of(path, [[spell_cell(cell, ".") for cell in row] for row in start], profile, limits)
        cells = CellsFile(into, len(facts.head.columns))
        try:
            _write(rows, start, cells, len(facts.head.columns), profile)
        finally:
            cells.close()
    finally:
        rows.close()
    return facts


def first_rows(location: Path, count: int) -> tuple[str, list[list[str]]]:
    """The first sheet's name and the texts of its first rows.

    Raises:
        UnreadableFile: It is no workbook, or beyond the limits.
    """
    rows = _rows(location, "", Limits())
    try:
        found = [[spell_cell(cell, ".") for cell in row] for _, row in zip(range(count), rows, strict=False)]
    finally:
        rows.close()
    import openpyxl

    book = openpyxl.load_workbook(location, read_only=True, keep_links=False)
    try:
        return book.worksheets[0].title, found
    finally:
        book.close()


def _write(rows: Iterator[Sequence[Any]], start: list[Any], cells: CellsFile, width: int, profile: Profile) -> None:
    import pyarrow as pa

    lines: list[int] = []
    texts: list[list[str]] = []
    faults: list[tuple[int, str, str]] = []

    def flush() -> None:
        columns = list(zip(*texts, strict=True)) if texts else [()] * width
        cells.add(lines, [pa.array(column, pa.string()) for column in columns])
        cells.add_faults(faults)
        for one in (lines, texts, faults):
            one.clear()

    before = profile.lines.before_rows
    for line, row in enumerate(_chain(start[before:], rows), before + 1):
        spelled = [spell_cell(cell, profile.decimal) for cell in row]
        if any(isinstance(cell, _Unknown) for cell in row):
            faults.append((line, "a formula in it has no stored value: open and save the file where it was made",
                           " | ".join(spelled)))  # fmt: skip
        elif any(spelled[width:]):
            faults.append((line, f"it has cells beyond the {width} columns of the header", " | ".join(spelled)))
        else:
            lines.append(line)
            texts.append((spelled + [""] * width)[:width])
        if len(lines) + len(faults) >= _ROWS_AT_ONCE:
            flush()
    flush()


def spell_cell(cell: Any, decimal: str) -> str:
    """A cell's value as text: numbers exactly, times as ISO."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int | float):
        text = repr(cell)
        return text if decimal == "." else text.replace(".", decimal)
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    if isinstance(cell, date | clock):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return repr(cell.total_seconds())
    return str(cell)


class _Unknown(str):
    """A formula whose value the file does not have."""

    __slots__ = ()


def _rows(location: Path, sheet: str, limits: Limits) -> Generator[Sequence[Any]]:
    try:
        import openpyxl
    except ImportError as error:
        raise LakeError(
            f"{location.name} is a workbook, and what reads workbooks is not installed.",
            kept="Nothing was changed.",
            next_step='Install it: pip install "bioreactor-lake[excel]"',
        ) from error

    has_formulas = _confirm_archive(location, limits)
    books = []
    try:
        books.append(openpyxl.load_workbook(location, read_only=True, data_only=True, keep_links=False))
        if has_formulas:
            books.append(openpyxl.load_workbook(location, read_only=True, data_only=False, keep_links=False))
        sheets = [_sheet(book, sheet) for book in books]
        for one in sheets:
            # What a file says of its size is not believed.
            one.reset_dimensions()
        values = sheets[0].iter_rows()
        if not has_formulas:
            for row in values:
                yield _trimmed([cell.value for cell in row])
            return
        for row, written in zip(values, sheets[1].iter_rows(), strict=True):
            yield _trimmed(
                [
                    _Unknown(str(said.value)) if cell.value is None and said.data_type == "f" else cell.value
                    for cell, said in zip(row, written, strict=True)
                ]
            )
    except (LakeError, OSError, MemoryError):
        raise
    except Exception as error:
        # openpyxl raises whatever it stumbles over.
        raise UnreadableFile(
            f"it cannot be read as a workbook ({type(error).__name__}: {str(error)[:200]})",
            next_step="open it where it was made and save it anew",
        ) from error
    finally:
        for book in books:
            book.close()


def _trimmed(row: list[Any]) -> list[Any]:
    while row and row[-1] is None:
        row.pop()
    return row


def _sheet(book: Any, wanted: str) -> Any:
    names = [sheet.title for sheet in book.worksheets]
    if not names:
        raise UnreadableFile("it has no sheet with cells", next_step="look at it")
    if not wanted:
        return book.worksheets[0]
    if wanted not in names:
        raise UnreadableFile(
            f"it has no sheet {wanted!r}; it has {', '.join(map(repr, names[:20]))}",
            next_step="correct excel.sheet in the profile",
        )
    return book[wanted]


def _confirm_archive(location: Path, limits: Limits) -> bool:
    """Refuse what would grow out of bounds when it is unpacked; whether there are formulas.

    Python unpacks no more of a part than the archive says that it has, so what it says can be relied on.
    """
    try:
        with zipfile.ZipFile(location) as archive:
            parts = archive.infolist()
            large = sum(part.file_size for part in parts if part.filename.endswith(_IN_MEMORY))
            if (
                len(parts) > _MOST_PARTS
                or sum(part.file_size for part in parts) > limits.bytes
                or (large > _MOST_IN_MEMORY)
            ):
                raise UnreadableFile(
                    "it is far larger when it is unpacked than a workbook may be",
                    next_step="export it as text, or raise limits.bytes of landing_zone in conf/base/catalog.yml",
                )
            return any(_holds(archive, part) for part in parts if "worksheets/" in part.filename)
    except zipfile.BadZipFile as error:
        raise UnreadableFile(
            "it is no workbook of the kind .xlsx", next_step="save it as .xlsx, or read it as text"
        ) from error
    except (NotImplementedError, RuntimeError) as error:
        raise UnreadableFile(f"it cannot be unpacked ({error})", next_step="save it without a password") from error


def _holds(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    with archive.open(part) as stream:
        before = b""
        while chunk := stream.read(1 << 20):
            if _FORMULA in before + chunk:
                return True
            before = chunk[-1:]
    return False


def _chain(first: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    yield from first
    yield from rest
