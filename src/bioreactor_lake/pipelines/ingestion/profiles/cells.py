"""From the cells of a file to rows with a time, a batch and an equipment, or a reason: pure expressions."""

from __future__ import annotations

import string
from collections.abc import Collection, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from bioreactor_lake.pipelines.ingestion.casts import look_up, plain_text
from bioreactor_lake.pipelines.ingestion.profiles.columns import KEYS, Head, find_cell, name_tags, number_cells
from bioreactor_lake.pipelines.ingestion.profiles.places import Place
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.pipelines.ingestion.profiles.times import add_elapsed, read_elapsed, read_time
from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile


def find_facts(
    profile: Profile, path: str, columns: Collection[str], cells: Mapping[str, str]
) -> dict[str, str | None]:
    """What is said of a file as a whole, for the columns `FACTS` of its cells; None for what each row says by itself.

    Args:
        profile: The profile.
        path: Path under the source's folder.
        columns: Names of its columns.
        cells: Texts of cells above the table by name.

    Raises:
        UnreadableFile: Something that has to be known stands in none of the places.
    """
    found: dict[str, str | None] = {}
    for fact, (places, what) in _places(profile).items():
        place = _first(places, path, columns, cells)
        if place is None and places and fact != "found_site":
            raise UnreadableFile(
                f"{what} stands in none of the places that the profile names",
                next_step="look at the file's name and head, and at the profile",
            )
        text = place and place.find(path, cells)
        if fact == "found_origin" and place is not None and place.kind in ("by_batch", "column"):
            # Rows or batches that it says nothing of count from the next place.
            text = next((one.find(path, cells) for one in places if one.find(path, cells)), None)
            if place.kind == "by_batch" and (batch := found["found_batch_id"]) is not None:
                text = place.values.get(batch, text)
        found[fact] = text.strip() if text else None
    return found


FACTS = ("found_batch_id", "found_equipment_id", "found_site", "found_origin")
"""Text columns of a cells table, the same in all of its rows."""


def read_lines(cells: ir.Table, profile: Profile, head: Head) -> ir.Table:
    """What each row of a file is about. Grain: one row per line of the table in the file.

    Lines that are no rows by the profile, blank ones and comments, are left out; every other is read, or has a reason.

    Args:
        cells: `line`, `fault` (why the line has no cells, or null), `text` (of such a line), cells `c1` and on, the
            columns `FACTS`, and `last_line`, the last one that is not blank.
        profile: The profile.
        head: What the file's shape is.

    Raises:
        UnreadableFile: The file lacks what the profile reads.
    """
    columns = number_cells(head.columns)
    blank = ibis.and_(*(plain_text(cells[cell]) == "" for cell in columns.values()))
    kept = cells.fault.notnull() | ~blank
    kept &= cells.line <= cells.last_line - profile.lines.skip_bottom
    if profile.comment:
        kept &= ~ibis.coalesce(cells.text, cells.c1).lstrip().startswith(profile.comment)
    rows = cells.filter(kept).mutate(**{cell: _without_missing(cells[cell], profile) for cell in columns.values()})

    keys = {name: _key(getattr(profile, KEYS[name]), name, rows, columns) for name in KEYS}
    rows = rows.mutate(**keys)
    time, no_time = _time(rows, columns, profile, head.batch_in_rows)
    several = ibis.or_(*(rows[cell].contains("\n") for cell in _used(profile, head, columns)))
    reasons = [
        (rows.fault.notnull(), rows.fault),
        # A row that was swallowed by the one before it is not read in silence.
        (several, "a cell of it goes over several lines: a quotation mark before it may not be closed"),
        (no_time.notnull(), no_time),
        (rows.batch_id.isnull(), "it has no batch"),
        (rows.equipment_id.isnull(), "it has no equipment"),
    ]
    rows = rows.mutate(ts=time, reason=ibis.cases(*reasons))
    if profile.is_long:
        tag = _long_tag(rows, columns, profile)
        rows = rows.mutate(tag=tag, reason=ibis.coalesce(rows.reason, tag.isnull().ifelse("it has no tag", None)))
    return rows


def list_rejects(lines: ir.Table, profile: Profile, head: Head) -> ir.Table:
    """The lines that were not read. Grain: one row per line, with its reason."""
    bad = lines.filter(lines.reason.notnull())
    cells = [bad[f"c{number}"].fill_null("") for number in range(1, len(head.columns) + 1)]
    joined = ibis.literal(" | " if profile.is_excel or profile.is_parquet else profile.delimiter).join(cells)
    text = ibis.coalesce(bad.text, joined)
    return bad.select("line", "reason", text=text.left(LONGEST_TEXT))


LONGEST_TEXT = 4000
"""Characters that are kept of a rejected line; the file has the rest."""


def _without_missing(cell: ir.StringValue, profile: Profile) -> ir.Value:
    plain = plain_text(cell)
    return plain.isin(["", *profile.missing]).ifelse(None, plain)


def _used(profile: Profile, head: Head, columns: Mapping[str, str]) -> list[str]:
    """The cells that anything is read of."""
    places = (profile.batch, profile.equipment, profile.site, profile.time.origin)
    names = {place.text for key in places for place in key if place.kind == "column"} | {*profile.time.columns}
    if profile.is_long:
        names |= {name for _, name, _, _ in string.Formatter().parse(profile.tag) if name}
        names |= {profile.value, profile.unit, profile.quality}
    else:
        names |= {*name_tags(profile, head)}
    return [cell for name, cell in columns.items() if name in names]


def _key(places: Sequence[Place], name: str, rows: ir.Table, columns: Mapping[str, str]) -> ir.Value:
    own = next((columns[place.text] for place in places if place.kind == "column" and place.text in columns), None)
    found = rows[f"found_{name}"]
    return found if own is None else ibis.coalesce(found, rows[own])


def _time(
    rows: ir.Table, columns: Mapping[str, str], profile: Profile, batch_in_rows: bool
) -> tuple[ir.Value, ir.StringValue]:
    rule = profile.time
    text = rows[find_cell(rule.columns[0], columns)]
    for name in rule.columns[1:]:
        text = text + " " + rows[find_cell(name, columns)]
    if not rule.unit:
        return read_time(text, rule.formats, rule.zone)
    number = text if profile.decimal == "." else text.replace(profile.decimal, ".")
    elapsed = read_elapsed(number, rule.unit)
    origin, no_origin = _origin(rows, columns, profile, batch_in_rows)
    time = add_elapsed(origin, elapsed)
    reason = ibis.cases(
        (text.isnull(), "it has no time"),
        (elapsed.isnull(), f"its time is no number of {rule.unit}"),
        (no_origin.notnull(), ibis.literal("the origin of its time: ") + no_origin),
        (time.isnull(), "its time is out of range"),
    )
    return time, reason


def _origin(
    rows: ir.Table, columns: Mapping[str, str], profile: Profile, batch_in_rows: bool
) -> tuple[ir.Value, ir.StringValue]:
    """What relative times count from, by the first place that is in files of this shape and says something."""
    times, reasons = [], []
    for place in profile.time.origin:
        formats = (place.format,) if place.format else ("iso",)
        if place.kind == "by_batch" and batch_in_rows:
            text = look_up(rows.batch_id, place.values)
        elif place.kind == "column":
            if place.text not in columns:
                continue
            text = rows[columns[place.text]]
        else:
            text = rows.found_origin
        time, reason = read_time(text, formats, profile.time.zone)
        times.append(time)
        reasons.append(text.notnull().ifelse(reason, None))
    return ibis.coalesce(*times), ibis.coalesce(
        *reasons, ibis.coalesce(*times).isnull().ifelse("none is known, see time.origin in the profile", None)
    )


def _places(profile: Profile) -> dict[str, tuple[tuple[Place, ...], str]]:
    return {
        "found_batch_id": (profile.batch, "its batch"),
        "found_equipment_id": (profile.equipment, "its equipment"),
        "found_site": (profile.site, "its site"),
        "found_origin": (profile.time.origin, "what its times count from"),
    }


def _first(places: Sequence[Place], path: str, columns: Collection[str], cells: Mapping[str, str]) -> Place | None:
    """The first place that a file has; those in its rows speak for themselves."""
    for place in places:
        if place.kind == "by_batch" or (place.kind == "column" and place.text in columns):
            return place
        if place.kind != "column" and (place.find(path, cells) or "").strip():
            return place
    return None


def _long_tag(rows: ir.Table, columns: Mapping[str, str], profile: Profile) -> ir.Value:
    tag: ir.Value | None = None
    for text, name, _, _ in string.Formatter().parse(profile.tag):
        parts = [ibis.literal(text)] if text else []
        if name is not None:
            parts.append(rows[find_cell(name, columns)])
        for part in parts:
            tag = part if tag is None else tag + part
    assert tag is not None
    return ibis.coalesce(look_up(tag, profile.rename), tag) if profile.rename else tag
