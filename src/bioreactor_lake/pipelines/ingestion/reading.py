"""How the columns of one raw file become the canonical raw columns.

Pure rules: which column is which (`match_columns`) and how its type reads (`read_canonical`). They see one file schema
at a time, so that no file can change how another is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import available_timezones

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from bioreactor_lake.errors import LakeError

REQUIRED = ("batch_id", "equipment_id", "ts", "tag", "value")
OPTIONAL = ("site", "unit", "quality")
TEXT = ("batch_id", "equipment_id", "site", "tag", "unit", "quality")
PARTITION = "partition "
TIME = dt.Timestamp(scale=6)

_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
# 0001-01-01 .. 9999-12-31 in microseconds since 1970: what DuckDB, Postgres and Python all can hold.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
# ISO 8601, date first: the wall clock, then perhaps a zone. What does not match as a whole is not guessed at.
_WALL = r"\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?"
_ZONE = r" ?(?:[Zz]|[Uu][Tt][Cc]|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)"
_NAIVE, _AWARE = f"^{_WALL}$", f"^{_WALL[:-1]}{_ZONE}$"
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


class UnreadableFile(LakeError):  # noqa: N818 - the outcome of an inspection, kept as the file's reason
    """The structure of a raw file cannot be read; the text is the reason kept in the manifest."""


@dataclass(frozen=True)
class ReadingRules:
    """What is declared about raw files: column synonyms, time zones and the unit of numeric times.

    Args:
        synonyms: For each canonical column, the spellings that mean it; case, spaces and underscores do not matter.
        time_zone: IANA zone of timestamps that carry none.
        time_zones: The same for some files: a prefix of the path under the raw folder to its zone.
        epoch_unit: Unit of numeric timestamps since 1970: ``s``, ``ms`` or ``us``.

    >>> rules = ReadingRules.from_parameters({"synonyms": {"batch_id": ["batch"]}, "time_zone": "UTC"})
    >>> rules.canonical("Batch")
    'batch_id'
    """

    synonyms: Mapping[str, tuple[str, ...]]
    time_zone: str = "UTC"
    time_zones: Mapping[str, str] = field(default_factory=dict)
    epoch_unit: str = "ms"

    def __post_init__(self) -> None:
        for column in self.synonyms:
            if column not in REQUIRED + OPTIONAL:
                raise LakeError(
                    f"Parameter reading.synonyms names the column {column!r}, which raw readings do not have.",
                    next_step=f"Use one of {', '.join(REQUIRED + OPTIONAL)} in conf/*/parameters_reading.yml.",
                )
        meanings: dict[str, str] = {}
        for column, names in self._spellings():
            for name in names:
                other = meanings.setdefault(_fold(name), column)
                if other != column:
                    raise LakeError(
                        f"Parameter reading.synonyms gives {name!r} to both {other} and {column}.",
                        next_step="Remove it from one of the two in conf/*/parameters_reading.yml.",
                    )
        for zone in {self.time_zone, *self.time_zones.values()} - {"UTC"}:
            # `localtime` would be another zone on every machine.
            if zone not in available_timezones() - {"localtime", "posixrules", "Factory"}:
                raise LakeError(
                    f"Parameter reading names the time zone {zone!r}, which does not exist.",
                    next_step="Use an IANA name such as Europe/Zurich.",
                )
        if self.epoch_unit not in _MICROSECONDS:
            raise LakeError(f"Parameter reading.epoch_unit is {self.epoch_unit!r}.", next_step="Use one of s, ms, us.")

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> ReadingRules:
        """Build the rules from the parameter group `reading`.

        Raises:
            LakeError: A rule is not known, or its value is none that it can have.
        """
        if unknown := sorted(set(parameters) - {"synonyms", "time_zone", "time_zones", "epoch_unit"}):
            raise LakeError(
                f"Parameter reading has no rule called {', '.join(unknown)}.",
                next_step="Use synonyms, time_zone, time_zones and epoch_unit in conf/*/parameters_reading.yml.",
            )
        synonyms = parameters.get("synonyms") or {}
        for column, names in synonyms.items():
            wrong = names if isinstance(names, str) else next((name for name in names or () if not _names(name)), None)
            if wrong is not None:
                raise LakeError(
                    f"Parameter reading.synonyms.{column} has {wrong!r} where a list of names should be.",
                    next_step=f"Write it as {column}: [one_name, other_name].",
                )
        return cls(
            synonyms={column: tuple(names or ()) for column, names in synonyms.items()},
            time_zone="UTC" if parameters.get("time_zone") is None else parameters["time_zone"],
            time_zones=dict(parameters.get("time_zones") or {}),
            epoch_unit=parameters.get("epoch_unit") or "ms",
        )

    def canonical(self, name: str) -> str | None:
        """The canonical column that a file's column means, or None where it means none."""
        folded = _fold(name)
        return next((column for column, names in self._spellings() if folded in map(_fold, names)), None)

    def zone_of(self, path: str) -> str:
        """The zone declared for a file by its path, or nothing where it is that of all files."""
        declared = [prefix for prefix in self.time_zones if path.startswith(prefix)]
        return self.time_zones[max(declared, key=len)] if declared else ""

    def _spellings(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        return ((column, (column, *self.synonyms.get(column, ()))) for column in REQUIRED + OPTIONAL)


def match_columns(names: Iterable[str], rules: ReadingRules) -> dict[str, str]:
    """Map canonical column names to those of a file.

    Args:
        names: Column names as the file spells them.
        rules: The declared synonyms.

    Returns:
        Canonical name to the file's own name; columns that mean nothing here are left out.

    Raises:
        UnreadableFile: Two columns mean the same.

    >>> match_columns(["Batch Id", "unit_id", "color"], ReadingRules({"equipment_id": ("unit_id",)}))
    {'batch_id': 'Batch Id', 'equipment_id': 'unit_id'}
    """
    mapping: dict[str, str] = {}
    for name in names:
        column = rules.canonical(name)
        if column is None:
            continue
        if column in mapping:
            raise UnreadableFile(
                f"columns {mapping[column]!r} and {name!r} both mean {column}",
                next_step="remove or rename one of them, or change reading.synonyms",
            )
        mapping[column] = name
    return mapping


def read_canonical(file: ir.Table, rules: ReadingRules) -> ir.Table:
    """Canonical columns of the files of one schema. Grain: one row per raw row.

    Numbers and times come in their own types. Where a file holds them as text, the text is kept beside what it was
    read as (`ts_text`, `value_text`), so that nothing is lost when it does not read. Times are UTC without a zone.
    A column that the file lacks is taken from the folder names (`batch_id=00042/`) where they have it.

    Args:
        file: Rows of files of one schema, with `source_file`, the path under the raw folder, and a text column
            `partition <key>` for each key in the folder names.
        rules: The declared reading rules.

    Raises:
        UnreadableFile: A column is missing, doubled, or of a type that cannot be read as what it means.
    """
    return file.select(**_canonical_columns(file, rules))


def read_with_partition_conflicts(file: ir.Table, rules: ReadingRules) -> ir.Table:
    """`read_canonical` with `partition_conflict`: what a folder name and the row say differently, else null.

    Grain: one row per raw row. Arguments and errors as for `read_canonical`.
    """
    own, folders = _mappings(file, rules)
    conflict: ir.Value = ibis.null("string")
    for name in own.keys() & folders.keys():
        said, holds = file[folders[name]], _as_text(file[own[name]], name).strip()
        text = ibis.literal(f"the folder name says {name}=") + said + " but the file's own column says " + holds
        conflict = ibis.coalesce(conflict, (said.strip() != holds).ifelse(text, None))
    return file.select(**_canonical_columns(file, rules), partition_conflict=conflict)


def _canonical_columns(file: ir.Table, rules: ReadingRules) -> dict[str, ir.Value]:
    own, folders = _mappings(file, rules)
    mapping = folders | own
    columns: dict[str, ir.Value] = {}
    for name in TEXT:
        columns[name] = _as_text(file[mapping[name]], name) if name in mapping else ibis.null("string")
    ts, ts_text = _as_time(file[mapping["ts"]], file.source_file, rules)
    value, value_text = _as_number(file[mapping["value"]])
    columns |= {"ts": ts, "ts_text": ts_text, "value": value, "value_text": value_text}
    order = ("batch_id", "equipment_id", "site", "tag", "ts", "ts_text", "value", "value_text", "unit", "quality")
    return {**{name: columns[name] for name in order}, "source_file": file.source_file}


def _mappings(file: ir.Table, rules: ReadingRules) -> tuple[dict[str, str], dict[str, str]]:
    """Canonical name to the file's own column, and to the column of a folder name (text columns only)."""
    keys = [name.removeprefix(PARTITION) for name in file.columns if name.startswith(PARTITION)]
    meant = match_columns((key for key in keys if rules.canonical(key) in TEXT), rules)
    folders = {name: PARTITION + key for name, key in meant.items()}
    own = match_columns(
        (name for name in file.columns if name != "source_file" and not name.startswith(PARTITION)), rules
    )
    if missing := [column for column in REQUIRED if column not in own | folders]:
        names = ", ".join(repr(name) for name in file.columns if name != "source_file")
        raise UnreadableFile(
            f"no column means {' or '.join(missing)}; the file has {names}",
            next_step="add the column, or declare its name in reading.synonyms",
        )
    return own, folders


def _names(name: Any) -> bool:
    return isinstance(name, str) and bool(_fold(name))


def _fold(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _unreadable(column: ir.Value, meaning: str, accepted: str) -> UnreadableFile:
    return UnreadableFile(
        f"column {column.get_name()!r} ({meaning}) has the type {column.type()}, which does not read as {accepted}",
        next_step=f"write it as {accepted}",
    )


def _as_text(column: ir.Value, meaning: str) -> ir.Value:
    kind = column.type()
    if kind.is_floating():
        # pandas turns integer ids with a gap into floats: 42.0 means 42, NaN means missing.
        whole = (column.abs() < 2**53) & (column % 1 == 0)
        return ibis.cases(
            (column.isnan(), ibis.null("string")),
            (whole, column.try_cast("int64").cast("string")),
            else_=column.cast("string"),
        )
    if kind.is_string():
        return column
    if kind.is_integer() or kind.is_uuid() or kind.is_null():
        return column.cast("string")
    raise _unreadable(column, meaning, "text or a whole number")


def _as_number(column: ir.Value) -> tuple[ir.Value, ir.Value]:
    kind = column.type()
    if kind.is_string():
        # DuckDB reads more than numbers: 1_000 and +-5, say. In a lab those are names and slips.
        text = _plain(column)
        return text.re_search(_NUMBER).ifelse(text, None).try_cast("float64"), column
    if kind.is_numeric() or kind.is_boolean() or kind.is_null():
        return column.cast("float64"), ibis.null("string")
    raise _unreadable(column, "value", "a number, text or a boolean")


def _as_time(column: ir.Value, source_file: ir.StringValue, rules: ReadingRules) -> tuple[ir.Value, ir.Value]:
    """The time in UTC, and the text for one that the file holds as text or that cannot be kept."""
    kind = column.type()
    text: ir.Value = ibis.null("string")
    if kind.is_string():
        text, plain = column, _plain(column).replace(",", ".")
        time = ibis.cases(
            (plain.re_search(_AWARE), _less_offset(plain)),
            (plain.re_search(_NAIVE), _from_zone(plain.try_cast(TIME), source_file, rules)),
        )
    elif kind.is_timestamp() and kind.timezone is not None:
        time = _utc(column)
        column = time
    elif kind.is_timestamp() or kind.is_date():
        time = _from_zone(column.cast(TIME), source_file, rules)
    elif kind.is_numeric() and not (kind.is_float32() or kind.is_float16()):
        factor = _MICROSECONDS[rules.epoch_unit]
        number = column.cast("int64") if kind.is_integer() else column.cast("float64")
        inside = column.between(_FIRST_US // factor, _LAST_US // factor)
        time = _from_microseconds((inside.ifelse(number, None) * factor).cast("int64"))
    elif kind.is_null():
        time = ibis.null(TIME)
    else:
        raise _unreadable(column, "ts", "a timestamp, ISO text or a number of milliseconds (float32 is too coarse)")
    kept = time.between(ibis.timestamp("0001-01-01"), ibis.timestamp("9999-12-31 23:59:59.999999"))
    if not kind.is_string():
        text = kept.ifelse(text, column.cast("string"))
    return kept.ifelse(time, None).cast(TIME), text


def _plain(text: ir.StringValue) -> ir.StringValue:
    """Text without the blanks and NULs that fixed-width writers pad with."""
    return text.re_replace(r"\x00", "").strip()


def _less_offset(text: ir.StringValue) -> ir.Value:
    """The UTC time of ISO text with a zone, which a cast to a timestamp would pass over in silence."""
    wall = text.re_extract(f"^({_WALL})", 1).try_cast(TIME)
    sign = text.re_search(r"-\d{2}(:?\d{2})?$").ifelse(-1, 1)
    hours = text.re_extract(r"[+-](\d{2})(:?\d{2})?$", 1).try_cast("int64").fill_null(0)
    minutes = text.re_extract(r"[+-]\d{2}:?(\d{2})$", 1).try_cast("int64").fill_null(0)
    return wall - (sign * (hours * 60 + minutes)).as_interval("m")


def _from_zone(naive: ir.Value, source_file: ir.StringValue, rules: ReadingRules) -> ir.Value:
    def in_utc(zone: str) -> ir.Value:
        return naive if zone == "UTC" else _utc(_at_zone(zone, naive))

    declared = sorted(rules.time_zones.items(), key=lambda item: (-len(item[0]), item[0]))
    if not declared:
        return in_utc(rules.time_zone)
    return ibis.cases(
        *((source_file.startswith(prefix), in_utc(zone)) for prefix, zone in declared), else_=in_utc(rules.time_zone)
    )


# A plain cast from an aware to a naive timestamp depends on the session's time zone, and a view is read in whatever
# session comes. Going through microseconds does not, and costs a sixth of `AT TIME ZONE`.
def _utc(aware: ir.Value) -> ir.Value:
    return _from_microseconds(_to_microseconds(aware))


@ibis.udf.scalar.builtin(name="epoch_us", signature=((dt.Timestamp(timezone="UTC"),), dt.int64))
def _to_microseconds(aware):  # type: ignore[no-untyped-def]
    """Microseconds since 1970 of an aware timestamp."""


@ibis.udf.scalar.builtin(name="make_timestamp", signature=((dt.int64,), TIME))
def _from_microseconds(microseconds):  # type: ignore[no-untyped-def]
    """The naive UTC time of microseconds since 1970."""


@ibis.udf.scalar.builtin(name="timezone", signature=((dt.string, TIME), dt.Timestamp(timezone="UTC")))
def _at_zone(zone, naive):  # type: ignore[no-untyped-def]
    """The moment at which a zone's clocks show a naive time."""
