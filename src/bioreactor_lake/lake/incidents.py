"""What can be amiss with the lake, and what was found of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["failure", "held", "quarantine", "nothing_to_ingest", "staleness", "lateness"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Finding:
    """Something that is amiss. Its kind and `what` make the incident; the rest may differ each time that it is seen.

    Args:
        what: The table, batch or file that it befell.
        why: Why, without any value of the data.
        in_full: The same with values of the data, told only where they may be; empty where it is no different.
        kept: What is still valid; empty for what is always so.
        next_step: What its reader can do; empty for what is always so.
    """

    what: str
    why: str = ""
    in_full: str = ""
    kept: str = ""
    next_step: str = ""


def findings(found: Iterable[tuple[str, str]]) -> list[Finding]:
    """Findings of pairs of what and why, such as held batches with their reasons."""
    return [Finding(what, why) for what, why in found]
