"""What can be amiss with the lake, and what was found of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["failure", "held", "failing", "quarantine", "rejected", "nothing_to_ingest", "staleness", "lateness"]
KINDS: tuple[Kind, ...] = get_args(Kind)

WAREHOUSE, WHOLE_RUN = "the warehouse", "the run"
"""What a failure befell where it was no table."""


@dataclass(frozen=True)
class Finding:
    """Something that is amiss. Its kind and `what` make the incident; the rest may differ each time that it is seen.

    Args:
        what: The table, batch or file that it befell.
        why: Why, without any value of the data.
        in_full: The same with values of the data, told only where they may be; empty where it is no different.
        kept: What is still valid; empty for what is always so.
        next_step: What its reader can do; empty for what is always so.
        since: Since when it is so, in seconds since 1970; None for since it was first seen.
    """

    what: str
    why: str = ""
    in_full: str = ""
    kept: str = ""
    next_step: str = ""
    since: float | None = None


def findings(found: Iterable[tuple[str, str]]) -> list[Finding]:
    """Findings of pairs of what and why, such as held batches with their reasons."""
    return [Finding(what, why) for what, why in found]


def without_values(reason: str) -> str:
    """What the lake says of a file, without what an engine or a cell said, in brackets or after an equals sign.

    >>> without_values("its column ph has no numbers (Could not convert string 'B-17' to DOUBLE)")
    'its column ph has no numbers'
    """
    return re.split(r"\s*[(=]", reason)[0]
