"""What is declared about raw files, and which of a file's columns is which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import available_timezones

from bioreactor_lake.errors import LakeError

REQUIRED = ("batch_id", "equipment_id", "ts", "tag", "value")
OPTIONAL = ("site", "unit", "quality")
MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""In one unit of numeric times."""


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
        if self.epoch_unit not in MICROSECONDS:
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


def _names(name: Any) -> bool:
    return isinstance(name, str) and bool(_fold(name))


def _fold(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
