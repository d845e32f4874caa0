"""Tags and equipment: what is measured and within which limits, and what should be heard of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from bioreactor_lake.errors import UsageError

LOGGING = ("continuous", "by_exception", "offline")


@dataclass(frozen=True)
class Tag:
    """A quantity that is measured or set.

    Args:
        name: Canonical name.
        description: What it is.
        uom: Unit of measure of values and limits.
        units: Other spellings of it that files may use.
        physical_min: Below it no value can be true; None where there is no such limit.
        physical_max: Above it no value can be true.
        expected_min: Least value of an ordinary batch.
        expected_max: Largest value of an ordinary batch.
        logging: How it is written down: `continuous` (at a fixed rate), `by_exception` (when it changes) or `offline`
            (from samples).
    """

    name: str
    description: str
    uom: str
    physical_min: float | None = None
    physical_max: float | None = None
    expected_min: float | None = None
    expected_max: float | None = None
    logging: str = "continuous"
    units: tuple[str, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """How its unit may be spelled."""
        return self.uom, *self.units

    @property
    def limits(self) -> tuple[Any, ...]:
        """Its name and limits."""
        return self.name, self.physical_min, self.physical_max, self.expected_min, self.expected_max


@dataclass(frozen=True)
class Equipment:
    """Equipment that should be heard of.

    Args:
        name: As the readings call it.
        description: What it is.
        site: Where it stands.
    """

    name: str
    description: str = ""
    site: str = ""


def read_tags(config: Mapping[str, Any]) -> dict[str, Tag]:
    """Read `tags.yml`.

    Raises:
        UsageError: It has a key or value that means nothing, or limits that contradict each other; it names the tag.
    """
    tags = {}
    for name, said in config.items():
        found = _read(Tag, name, said, "tags.yml")
        for bound in ("physical_min", "physical_max", "expected_min", "expected_max"):
            value = getattr(found, bound)
            if value is not None and not _is_limit(value):
                raise UsageError(f"{bound} of {name} in tags.yml is {value!r}.", next_step="Write a number or null.")
        bounds = [found.physical_min, found.expected_min, found.expected_max, found.physical_max]
        given = [bound for bound in bounds if bound is not None]
        if given != sorted(given):
            raise UsageError(
                f"The limits of {name} in tags.yml are not in order.",
                next_step="physical_min, expected_min, expected_max and physical_max have to rise.",
            )
        if found.logging not in LOGGING:
            raise UsageError(
                f"The logging of {name} in tags.yml is {found.logging!r}.", next_step=f"Use {', '.join(LOGGING)}."
            )
        if isinstance(found.units, str) or not all(isinstance(one, str) and one for one in (found.uom, *found.units)):
            raise UsageError(
                f"The unit of {name} in tags.yml is {found.uom!r}, otherwise spelled {found.units!r}.",
                next_step='Write uom as text and units as a list of texts; "%" needs its quotes.',
            )
        tags[name] = replace(found, units=tuple(found.units))
    return tags


def _is_limit(value: Any) -> bool:
    # Nothing is above NaN, so it would be no limit at all.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_equipment(config: Mapping[str, Any]) -> dict[str, Equipment]:
    """Read `equipment.yml`.

    Raises:
        UsageError: It has a key that means nothing; it names the equipment.
    """
    return {name: _read(Equipment, name, said, "equipment.yml") for name, said in config.items()}


def _read(kind: Any, name: str, said: Any, file: str) -> Any:
    said = {} if said is None else said
    if not isinstance(said, Mapping):
        raise UsageError(f"{name} in {file} is no mapping.", next_step="Write its keys below it.")
    known = [one.name for one in fields(kind) if one.name != "name"]
    if unknown := sorted(set(said) - set(known)):
        near = get_close_matches(unknown[0], known) or known
        raise UsageError(
            f"{name} in {file} has {', '.join(unknown)}, which means nothing.",
            next_step=f"Did you mean {' or '.join(near)}?",
        )
    try:
        return kind(name=name, **said)
    except TypeError as error:
        missing = [one for one in ("description", "uom") if one in known and one not in said]
        raise UsageError(f"{name} in {file} lacks {', '.join(missing)}.", next_step="Add it.") from error
