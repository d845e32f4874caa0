"""A file profile as it is taken from its YAML, with what is wrong with it."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import available_timezones

from bioreactor_lake.errors import UsageError
from bioreactor_lake.pipelines.ingestion.profiles.places import read_places
from bioreactor_lake.pipelines.ingestion.profiles.profile import NOT_STRPTIME, READER, UNITS, Lines, Profile, Time

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KEYS = {
    "": ("version", "description", "source", "files", "text", "excel", "parquet", "lines", "time", "batch", "equipment",
         "site", "wide", "long", "tags", "values", "repeats"),
    "text": ("encoding", "delimiter", "decimal", "thousands", "quote", "comment"),
    "excel": ("sheet", "decimal", "thousands"),
    "parquet": (),
    "lines": ("skip_top", "header", "units", "skip_after_header", "skip_bottom", "columns"),
    "time": ("columns", "format", "zone", "unit", "origin"),
    "wide": ("only", "ignore"),
    "long": ("tag", "value", "unit", "quality"),
    "tags": ("pattern", "rename", "units", "states", "change_only"),
    "values": ("missing", "sentinels"),
    "repeats": ("newest",),
}  # fmt: skip


def read_profile(name: str, config: Any) -> Profile:
    """Build a profile from its YAML.

    Args:
        name: The name of its file.
        config: What that says.

    Raises:
        UsageError: It says what means nothing, or too little; the message says what to write.
    """
    return _Reading(name, config).build()


class _Reading:
    """One profile as it is taken from its YAML."""

    def __init__(self, name: str, config: Any) -> None:
        self._name, self._where = name, f"conf/*/profiles/{name}.yml"
        if not _NAME.fullmatch(name):
            self._refuse("has a name that cannot be one", "Call it as a table: small letters, digits and underscores.")
        self._config = self._section(config, "")

    def build(self) -> Profile:
        config = self._config
        text, excel, lines = (self._section(config.get(one), one) for one in ("text", "excel", "lines"))
        wide, long, tags = (self._section(config.get(one), one) for one in ("wide", "long", "tags"))
        values = self._section(config.get("values"), "values")
        repeats = self._section(config.get("repeats"), "repeats")
        self._section(config.get("parquet"), "parquet")
        kinds = [one for one in ("text", "excel", "parquet") if one in config]
        if len(kinds) > 1:
            self._refuse(f"is both {' and '.join(kinds)}", "Leave one of them out.")
        if "parquet" in config and "lines" in config:
            self._refuse("says lines of a Parquet file", "Leave lines out: its columns have names, and all rows count.")
        if "repeats" in config and not repeats.get("newest"):
            self._refuse("does not say repeats.newest", "Name the column that tells the newest of several.")
        if "wide" in config and "long" in config:
            self._refuse("is both wide and long", "Leave one of them out.")
        for required in ("time", "batch", "equipment"):
            if not config.get(required):
                self._refuse(f"does not say {required}", f"Add {required}, see docs/profiles.md.")
        source = str(config.get("source") or self._name)
        if not _NAME.fullmatch(source):
            self._refuse(f"names the source {source!r}", "Use small letters, digits and underscores.")
        if is_long := "long" in config:
            for required in ("tag", "value"):
                if not long.get(required):
                    self._refuse(f"does not say long.{required}", "Name the column.")
        return Profile(
            name=self._name,
            version=str(config.get("version", 1)),
            digest=hashlib.sha256(json.dumps([READER, config], sort_keys=True, default=str).encode()).hexdigest()[:16],
            source=source,
            files=self._texts(config.get("files"), "files") or ("*",),
            is_excel="excel" in config,
            is_parquet="parquet" in config,
            sheet=str(excel.get("sheet") or ""),
            encoding=self._encoding(text),
            delimiter=self._one_character(text, "delimiter", ","),
            quote=self._one_character(text, "quote", '"'),
            comment=str(text.get("comment") or ""),
            decimal=str((text or excel).get("decimal") or "."),
            thousands=str((text or excel).get("thousands") or ""),
            lines=self._lines(lines),
            time=self._time(self._section(config["time"], "time")),
            batch=read_places(config["batch"], f"{self._where}: batch"),
            equipment=read_places(config["equipment"], f"{self._where}: equipment"),
            site=read_places(config.get("site"), f"{self._where}: site"),
            is_long=is_long,
            only=self._texts(wide.get("only"), "wide.only"),
            ignore=self._texts(wide.get("ignore"), "wide.ignore"),
            tag=self._tag_template(str(long.get("tag") or "")),
            value=str(long.get("value") or ""),
            unit=str(long.get("unit") or ""),
            quality=str(long.get("quality") or ""),
            tag_pattern=self._tag_pattern(str(tags.get("pattern") or "")),
            rename=self._pairs(tags.get("rename"), "tags.rename"),
            units=self._pairs(tags.get("units"), "tags.units"),
            states=self._texts(tags.get("states"), "tags.states"),
            change_only=self._change_only(tags.get("change_only"), is_long),
            missing=self._texts(values.get("missing"), "values.missing"),
            sentinels=self._numbers(values.get("sentinels")),
            newest=str(repeats.get("newest") or ""),
        )

    def _time(self, time: Mapping[str, Any]) -> Time:
        columns = self._texts(time.get("columns"), "time.columns")
        formats = self._texts(time.get("format"), "time.format") or ("iso",)
        zone, unit = str(time.get("zone") or ""), str(time.get("unit") or "")
        if not columns:
            self._refuse("does not say time.columns", "Name the column of the time, or several.")
        # `localtime` would be another zone on every machine.
        if zone and zone not in available_timezones() - {"localtime", "posixrules", "Factory"}:
            self._refuse(f"names the time zone {zone!r}, which does not exist", "Use an IANA name: Europe/Zurich.")
        if unit and unit not in (*UNITS, "clock"):
            self._refuse(f"has the time.unit {unit!r}", f"Use one of {', '.join(UNITS)}, clock.")
        origin = read_places(time.get("origin"), f"{self._where}: time.origin")
        if bool(unit) != bool(origin):
            self._refuse("has a relative time without unit or origin", "Say both time.unit and time.origin.")
        for one in (*formats, *(place.format for place in origin if place.format)):
            if one in NOT_STRPTIME:
                continue
            if "%" not in one:
                self._refuse(f"has the time format {one!r}", f"Use {', '.join(NOT_STRPTIME)}, or one of strptime.")
            if "%z" not in one and not zone:
                self._refuse(
                    f"reads times by {one!r}, which have no zone, and declares none",
                    "Add time.zone, such as UTC or Europe/Zurich: the zone of the instrument's clock.",
                )
        return Time(columns, formats, zone, unit, origin)

    def _lines(self, lines: Mapping[str, Any]) -> Lines:
        counts = {}
        for name in ("skip_top", "header", "skip_after_header", "skip_bottom"):
            value = lines.get(name, 1 if name == "header" else 0)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10_000:
                self._refuse(f"has {value!r} for lines.{name}", "Write how many lines.")
            counts[name] = value
        columns = self._texts(lines.get("columns"), "lines.columns")
        if not counts["header"] and not columns:
            self._refuse("has no header and no lines.columns", "Name the columns under lines.columns.")
        return Lines(**counts, units=bool(lines.get("units")), columns=columns)

    def _encoding(self, text: Mapping[str, Any]) -> str:
        encoding = str(text.get("encoding") or "utf-8")
        try:
            return codecs.lookup(encoding).name
        except LookupError:
            self._refuse(f"has the encoding {encoding!r}", "Use utf-8, latin-1, cp1252, utf-16, …")
            raise

    def _one_character(self, text: Mapping[str, Any], name: str, default: str) -> str:
        value = text.get(name, default)
        value = {"tab": "\t", None: ""}.get(value, value)
        if not isinstance(value, str) or len(value) > 1 or (name == "delimiter" and not value) or not value.isascii():
            self._refuse(f"has {value!r} for text.{name}", "Use one character, or tab.")
        return str(value)

    def _tag_template(self, template: str) -> str:
        # A bare name is the name of a column.
        return template if "{" in template or not template else "{" + template + "}"

    def _tag_pattern(self, pattern: str) -> str:
        try:
            if pattern and "tag" not in re.compile(pattern).groupindex:
                self._refuse(f"has a tags.pattern that finds no tag: {pattern!r}", "Name it: (?P<tag>…), (?P<unit>…).")
        except re.error as error:
            self._refuse(f"has a tags.pattern that is none: {error}", "Use Python's regular expressions.")
        return pattern

    def _change_only(self, given: Any, is_long: bool) -> tuple[str, ...]:
        if given and is_long:
            self._refuse("has change-only columns in a long file", "A long file has a row per change as it is.")
        return ("*",) if given is True or given == "all" else self._texts(given, "tags.change_only")

    def _texts(self, given: Any, where: str) -> tuple[str, ...]:
        if given is None:
            return ()
        several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
        if any(isinstance(one, Mapping | Sequence) and not isinstance(one, str) for one in several):
            self._refuse(f"has {given!r} for {where}", "Write a text or a list of texts.")
        return tuple(str(one) for one in several)

    def _pairs(self, given: Any, where: str) -> dict[str, str]:
        if not isinstance(given or {}, Mapping):
            self._refuse(f"has {given!r} for {where}", "Write name: value, one a line.")
        return {str(key): str(value) for key, value in (given or {}).items()}

    def _numbers(self, given: Any) -> tuple[float, ...]:
        several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
        try:
            return () if given is None else tuple(float(one) for one in several)
        except (TypeError, ValueError):
            self._refuse(f"has {given!r} for values.sentinels", "Write numbers; texts go under values.missing.")
            raise

    def _section(self, given: Any, name: str) -> Mapping[str, Any]:
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            self._refuse(f"has {given!r} where {name or 'a profile'} should be", f"Use {', '.join(_KEYS[name])}.")
        if unknown := sorted(str(key) for key in set(given) - set(_KEYS[name])):
            self._refuse(
                f"says {', '.join(unknown)}{f' under {name}' if name else ''}, which means nothing",
                f"Use {', '.join(_KEYS[name]) or '{}'}.",
            )
        return {str(key): value for key, value in given.items()}

    def _refuse(self, what: str, next_step: str) -> None:
        raise UsageError(f"The profile {self._where} {what}.", kept="No landed file was read.", next_step=next_step)
