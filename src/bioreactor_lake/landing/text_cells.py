"""Cells of delimited text, by pyarrow's reader, with the number of each line."""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from pathlib import Path
from typing import Any

from bioreactor_lake.landing.cells import CellsFile, Facts, facts_of, lines_wanted
from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.landing.streams import open_text_bytes
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile

_BLOCK = 4 << 20
_HEAD = 1 << 20


def read_text(location: Path, path: str, profile: Profile, limits: Limits, into: Path) -> Facts:
    """Write the cells of a text file.

    Args:
        location: The file.
        path: Its path under the source's folder.
        profile: How it is read.
        limits: What it may be.
        into: The Parquet file to write.

    Returns:
        What is known of it beside its rows.

    Raises:
        UnreadableFile: It is not what the profile says, or beyond the limits.
        OSError: It cannot be read.
    """
    facts = facts_of(path, read_head(location, profile, limits), profile, limits)
    cells = CellsFile(into, len(facts.head.columns))
    try:
        with open_text_bytes(location, limits.bytes) as stream:
            _read_rows(stream, profile, cells, len(facts.head.columns))
    finally:
        cells.close()
    return facts


def read_head(location: Path, profile: Profile, limits: Limits) -> list[list[str]]:
    """Cells of the first lines, as many as the profile has to know.

    Raises:
        UnreadableFile: They are no text in the profile's encoding, or too long.
    """
    wanted = lines_wanted(profile) or 1
    with open_text_bytes(location, max(limits.bytes, _HEAD)) as stream:
        start = stream.read(_HEAD)
    name = "utf-8-sig" if profile.encoding == "utf-8" else profile.encoding
    try:
        text = codecs.getincrementaldecoder(name)("replace").decode(start, final=len(start) < _HEAD)
    except UnicodeError as error:
        raise not_encoded(profile, error) from error
    lines = io.StringIO(text, newline="").readlines()
    if any("\N{REPLACEMENT CHARACTER}" in line for line in lines[: profile.lines.before_rows]):
        raise not_encoded(profile)
    if len(start) == _HEAD and len(lines) <= wanted:
        raise UnreadableFile(
            f"its first lines are longer than {_HEAD:,} bytes", next_step="check that it is text, and its line ends"
        )
    quoting: Any = csv.QUOTE_MINIMAL if profile.quote else csv.QUOTE_NONE
    # Line by line: a quotation mark in a title must not swallow the header.
    return [
        next(csv.reader([line], delimiter=profile.delimiter, quotechar=profile.quote or None, quoting=quoting), [])
        for line in lines[:wanted]
    ]


def not_encoded(profile: Profile, error: UnicodeError | None = None) -> UnreadableFile:
    """The reason of a file in another encoding."""
    where = f" at byte {error.start:,}" if isinstance(error, UnicodeDecodeError) else ""
    return UnreadableFile(
        f"it is no text in {profile.encoding}{where}", next_step="correct text.encoding in the profile, or the file"
    )


def _read_rows(stream: Any, profile: Profile, cells: CellsFile, width: int) -> None:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    names = [f"c{number}" for number in range(1, width + 1)]
    numbering = _Numbering(profile.lines.before_rows)

    def set_aside(row: Any) -> str:
        numbering.set_aside(row.number, row.expected_columns, row.actual_columns, row.text)
        return "skip"

    encoding = "utf8" if profile.encoding == "utf-8" else profile.encoding
    try:
        reader = arrow_csv.open_csv(
            stream,
            arrow_csv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK,
                skip_rows=profile.lines.before_rows,
                column_names=names,
                encoding=encoding,
            ),
            arrow_csv.ParseOptions(
                delimiter=profile.delimiter,
                quote_char=profile.quote or False,
                newlines_in_values=bool(profile.quote),
                ignore_empty_lines=False,
                invalid_row_handler=set_aside,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False, check_utf8=False
            ),
        )
        for batch in reader:
            _add(batch, cells, numbering)
    except UnicodeError as error:
        raise not_encoded(profile, error) from error
    except pa.ArrowInvalid as error:
        text = str(error)
        if "straddl" in text:
            raise UnreadableFile(
                f"a row of it is longer than {_BLOCK:,} bytes",
                next_step="a quotation mark that is not closed does that: see text.quote, or the file",
            ) from error
        if "Empty CSV" not in text and "Could not skip" not in text:
            raise UnreadableFile(f"it is no delimited text ({text.splitlines()[0]})", next_step="look at it") from error
    cells.add_faults(numbering.rest())


def _add(batch: Any, cells: CellsFile, numbering: _Numbering) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    breaks = None
    for column in batch.columns:
        if pc.any(pc.match_substring(column, b"\n")).as_py():
            counted = pc.count_substring(column, b"\n")
            breaks = counted if breaks is None else pc.add(breaks, counted)
    lines, faults = numbering.number(batch.num_rows, None if breaks is None else breaks.to_pylist())
    try:
        texts = [column.cast(pa.string()) for column in batch.columns]
    except pa.ArrowInvalid:
        lines, texts, wrong = _decode_each(batch, lines)
        faults += wrong
    cells.add(lines, texts)
    cells.add_faults(faults)


def _decode_each(batch: Any, lines: list[int]) -> tuple[list[int], list[Any], list[tuple[int, str, str]]]:
    """Rows of a block in which some bytes are no UTF-8: these rows are set aside, the others stay."""
    import pyarrow as pa

    kept, faults, rows = [], [], []
    for line, values in zip(lines, zip(*(column.to_pylist() for column in batch.columns), strict=True), strict=True):
        try:
            rows.append([value.decode() for value in values])
            kept.append(line)
        except UnicodeDecodeError:
            faults.append((line, "it is no text in utf-8", b",".join(values).decode("utf-8", "replace")))
    columns = list(zip(*rows, strict=True)) if rows else [()] * batch.num_columns
    return kept, [pa.array(column, pa.string()) for column in columns], faults


class _Numbering:
    """Which line of the file a row begins at.

    pyarrow tells the number of a row only where it is set aside; the others are those in between. A row counts as one,
    however many lines it goes over.
    """

    def __init__(self, before: int) -> None:
        self._next = before + 1
        self._more_lines = 0
        self._aside: deque[tuple[int, str, str]] = deque()

    def set_aside(self, number: int, expected: int, actual: int, text: str) -> None:
        if "\n" in text.strip():
            fault = "a quotation mark in it is not closed, or its cells are not those of the header"
        else:
            fault = f"it has {actual} cells where the header has {expected}"
        self._aside.append((number, fault, text))

    def number(self, rows: int, breaks: list[int] | None) -> tuple[Any, list[tuple[int, str, str]]]:
        """The lines of the next rows, and what was set aside among them with its own."""
        if breaks is None and not self._aside:
            first = self._next + self._more_lines
            self._next += rows
            return list(range(first, first + rows)), []
        numbered: list[int] = []
        faults: list[tuple[int, str, str]] = []
        for row in range(rows):
            faults += self._pass_aside()
            numbered.append(self._next + self._more_lines)
            self._next += 1
            self._more_lines += breaks[row] if breaks is not None else 0
        return numbered, faults + self._pass_aside()

    def rest(self) -> list[tuple[int, str, str]]:
        """What was set aside after the last row."""
        return self._pass_aside(all_of_it=True)

    def _pass_aside(self, *, all_of_it: bool = False) -> list[tuple[int, str, str]]:
        passed = []
        while self._aside and (all_of_it or self._aside[0][0] == self._next):
            _, fault, text = self._aside.popleft()
            passed.append((self._next + self._more_lines, fault, text))
            self._next += 1
            self._more_lines += text.count("\n")
        return passed
