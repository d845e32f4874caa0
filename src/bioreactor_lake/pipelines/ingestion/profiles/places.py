"""Where a profile finds a fact of a file: in a column, the path, a cell above the table, or in the profile itself."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bioreactor_lake.errors import UsageError

_KINDS = ("column", "path", "cell", "value", "by_batch")
_CELL = re.compile(r"([A-Z]{1,3})([1-9]\d{0,5})")


@dataclass(frozen=True)
class Place:
    """One place where a fact can stand.

    Args:
        kind: `column` (its name), `path` (a pattern for the path under the source's folder), `cell` (such as B2, by
            lines and columns of the file), `value` (the fact itself) or `by_batch` (the fact for each batch).
        text: The name, the pattern, the cell or the value.
        template: What to make of the pattern's named groups, such as `PEN{seed:0>3}`; empty for the group `found`.
        format: Of a time, as for a profile's times; empty for theirs.
        values: For `by_batch`.
    """

    kind: str
    text: str
    template: str = ""
    format: str = ""
    values: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def from_config(cls, config: Any, where: str) -> Place:
        """Build a place.

        Raises:
            UsageError: It says what means nothing.
        """
        if not isinstance(config, Mapping):
            raise UsageError(f"{where} is {config!r}.", next_step="Write it as {column: …}, {path: …} or {value: …}.")
        kinds = [name for name in config if name in _KINDS]
        if unknown := sorted(set(config) - {*_KINDS, "as", "format"}):
            raise UsageError(f"{where} has {', '.join(unknown)}.", next_step=f"Use {', '.join(_KINDS)}, as, format.")
        if len(kinds) != 1:
            raise UsageError(f"{where} names {len(kinds)} places.", next_step=f"Name one of {', '.join(_KINDS)}.")
        (kind,) = kinds
        given, template = config[kind], str(config.get("as") or "")
        values = {str(key): str(value) for key, value in given.items()} if kind == "by_batch" else {}
        place = cls(kind, "" if kind == "by_batch" else str(given), template, str(config.get("format") or ""), values)
        place._confirm(where)
        return place

    def find(self, path: str, cells: Mapping[str, str]) -> str | None:
        r"""The fact for a whole file, or None where this is no place of it.

        Args:
            path: Path under the source's folder.
            cells: Texts of cells above the table by name.

        >>> Place("path", r"seed(?P<seed>\d+)", "PEN{seed:0>3}").find("a/pensimpy_seed7.csv", {})
        'PEN007'
        """
        if self.kind == "value":
            return self.text
        if self.kind == "cell":
            return cells.get(self.text) or None
        if self.kind == "path" and (found := re.search(self.text, path)):
            groups = {name: text or "" for name, text in found.groupdict().items()}
            return (self.template.format_map(groups) if self.template else groups["found"]) or None
        return None

    def _confirm(self, where: str) -> None:
        if self.kind == "cell" and not _CELL.fullmatch(self.text):
            raise UsageError(f"{where} names the cell {self.text!r}.", next_step="Name it as in B2.")
        if self.kind != "path":
            return
        try:
            groups = set(re.compile(self.text).groupindex)
            fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(self.template) if name is not None]
        except (re.error, ValueError) as error:
            raise UsageError(
                f"{where} is no pattern: {error}.", next_step="Use Python's regular expressions."
            ) from error
        wanted = {name for name, _ in fields} if self.template else {"found"}
        if not wanted or wanted - groups:
            missing = " or ".join(sorted(wanted - groups)) or "group"
            raise UsageError(
                f"{where} has the pattern {self.text!r}, which finds no {missing}.",
                next_step="Name what it finds: (?P<found>…), or groups that `as` puts together.",
            )


def read_places(config: Any, where: str) -> tuple[Place, ...]:
    """Places in the order in which they are tried; one may stand by itself.

    Raises:
        UsageError: One says what means nothing.
    """
    if config is None:
        return ()
    several = list(config) if isinstance(config, Sequence) and not isinstance(config, str) else [config]
    return tuple(Place.from_config(one, where) for one in several)


def locate(cell: str) -> tuple[int, int]:
    """Line and column of a cell, both from 1.

    >>> locate("B2")
    (2, 2)
    """
    found = _CELL.fullmatch(cell)
    assert found is not None
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(found[2]), column
