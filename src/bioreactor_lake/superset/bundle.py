"""The bundle of Superset's assets: the YAML of `deploy/superset/assets`, with what the lake's documentation says.

The files are in the format that Superset exports. Three things stand elsewhere and are filled in here, so that nothing
is written twice: descriptions of columns that have none (`columns` in `globals.yml`, and those of the history of runs
and of data quality), units of tags (`tags.yml`), and where the marts are. In texts, `$name` is the description of that
column, `$unit_of_<tag>` the unit of a tag, `$tag_with_unit` SQL that names tags with their units, and
`$tag_with_its_unit` the same where a column `unit` may say another one.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bioreactor_lake.errors import LakeError
from bioreactor_lake.sql import literal

DATABASE = "databases/bioreactor_lake.yaml"
KINDS = ("databases", "datasets", "charts", "dashboards")
# A zip file has times, and the same bundle is the same bytes.
_TIME = (2026, 1, 1, 0, 0, 0)
_MART = re.compile(r"\bmarts\.(\w+)")
_MASK = "X" * 10
# What a file does not say is nothing, and not what somebody said by hand.
_UNSAID = {"description": None, "certified_by": None, "certification_details": None}
_PLACEHOLDER = re.compile(r"\$([a-z]\w*)")


@dataclass(frozen=True)
class Documentation:
    """What the lake says of its columns and tags.

    Args:
        columns: Descriptions by column; a name means the same in every table that is not named below.
        tables: Descriptions by table and column, of tables that describe their own.
        units: The unit of measure of each tag, in the order in which they are listed.
        spellings: How the unit of a tag may be spelled.
    """

    columns: Mapping[str, str]
    tables: Mapping[str, Mapping[str, str]]
    units: Mapping[str, str | None]
    spellings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def describe(self, column: str, table: str | None) -> str | None:
        """The description of a column of a mart; None where there is none."""
        own = self.tables.get(table or "", {})
        return own.get(column) or self.columns.get(column)

    def fill(self, text: str, table: str | None) -> str:
        """A text with its placeholders filled in.

        Args:
            text: The text.
            table: The mart that it is about.

        Raises:
            LakeError: It names what is described nowhere.
        """

        def filled(found: re.Match[str]) -> str:
            name = found[1]
            if name == "tag_with_unit":
                return self._tag_with_unit()
            if name == "tag_with_its_unit":
                return self._tag_with_its_unit()
            unit = self.units.get(name.removeprefix("unit_of_")) if name.startswith("unit_of_") else None
            described = unit or self.describe(name, table)
            if described is None:
                raise LakeError(
                    f"{found[0]} stands in Superset's assets and is described nowhere.",
                    next_step="Describe the column in conf/base/globals.yml, or the tag in tags.yml.",
                )
            return described

        return _PLACEHOLDER.sub(filled, text)

    def _tag_with_unit(self) -> str:
        known = (
            f"WHEN {literal(tag)} THEN {literal(f'{tag} [{unit}]')}"
            for tag, unit in self.units.items()
            if unit and unit.casefold() != tag
        )
        return f"CASE tag {' '.join(known)} ELSE tag END"

    def _tag_with_its_unit(self) -> str:
        """Readings in another unit than the tag's are of a batch that somebody released: they stand by themselves."""
        usual = [f"({literal(tag)}, {literal(one)})" for tag, several in self.spellings.items() for one in several]
        if not usual:
            return self._tag_with_unit()
        return (
            f"CASE WHEN unit IS NULL OR (tag, unit) IN ({', '.join(usual)}) THEN {self._tag_with_unit()} "
            "ELSE tag || ' [' || unit || ']' END"
        )


def read_bundle(folder: Path, documentation: Documentation, marts_url: str) -> dict[str, dict[str, Any]]:
    """The assets by their paths in the bundle, filled in.

    Args:
        folder: Where the YAML is.
        documentation: The lake's.
        marts_url: Where Superset finds the marts, as SQLAlchemy spells it; a password in it is left out.

    Raises:
        LakeError: There are none, or a file is no YAML.
    """
    paths = sorted(path for kind in KINDS for path in (folder / kind).rglob("*.yaml"))
    if not paths:
        raise LakeError(
            f"{folder} holds no assets of Superset.",
            next_step="Run the command in the project's folder, or say where they are: --from.",
        )
    assets = {"metadata.yaml": _read(folder / "metadata.yaml")}
    for path in paths:
        asset = _read(path)
        if "sqlalchemy_uri" in asset:
            asset["sqlalchemy_uri"] = _with_mask(marts_url)
        elif "columns" in asset:
            _describe(asset, documentation)
        elif "params" in asset:
            asset = {**_UNSAID, **asset, "params": _fill_titles(asset["params"], documentation)}
        elif "position" in asset:
            asset = {**_UNSAID, **asset}
        assets[path.relative_to(folder).as_posix()] = asset
    return assets


def zip_bundle(assets: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The bundle as Superset takes it; the same assets are the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path, asset in sorted(assets.items()):
            text = yaml.safe_dump(dict(asset), sort_keys=False, allow_unicode=True)
            bundle.writestr(zipfile.ZipInfo(f"bioreactor_lake/{path}", _TIME), text)
    return buffer.getvalue()


def _with_mask(url: str) -> str:
    """A URL with Superset's sign that the password is passed beside it, or is the one that Superset has."""
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return parts._replace(netloc=f"{user}:{_MASK}@{place}" if at else place).geturl()


def _describe(dataset: dict[str, Any], documentation: Documentation) -> None:
    found = _MART.search(dataset.get("sql") or "")
    table = found[1] if found else dataset["table_name"]
    for column in dataset["columns"]:
        if "expression" in column:
            column["expression"] = documentation.fill(column["expression"], table)
        if not column.get("description"):
            column["description"] = documentation.describe(column["column_name"], table)
    for metric in dataset["metrics"]:
        metric["description"] = documentation.fill(metric["description"], table)


def _fill_titles(params: dict[str, Any], documentation: Documentation) -> dict[str, Any]:
    return {
        name: documentation.fill(value, None) if name.endswith("_axis_title") else value
        for name, value in params.items()
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LakeError(f"{path} cannot be read: {error}", next_step="Correct the file.") from error
    if not isinstance(found, dict):
        raise LakeError(f"{path} is no mapping.", next_step="Correct the file.")
    return found
