"""A page of what was checked: one HTML file that needs nothing beside itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bioreactor_lake.quality.spelling import plural, spell

GOOD, NOTICE, BAD = "good", "notice", "bad"
"""How a verdict is coloured; words and signs say the same."""

_LONGEST = 120
_LAYERS = ("raw", "staging", "intermediate", "curated", "marts")


@dataclass(frozen=True)
class SampleRows:
    """Rows that fail.

    Args:
        title: Whose they are: a batch, or empty for those of a table.
        sentence: What fails.
        note: When that was found, where it was not now.
        rows: Values by column.
    """

    title: str
    sentence: str
    note: str
    rows: Sequence[Mapping[str, Any]]

    @property
    def columns(self) -> list[str]:
        """The columns that any of the rows has."""
        return list(dict.fromkeys(name for row in self.rows for name in row))


@dataclass(frozen=True)
class Check:
    """What became of one expectation.

    Args:
        expectation: Its id.
        type: Its type.
        arguments: What it was asked with.
        severity: `warn`, `error` or `fatal`.
        verdict: In one word: `passed`, `warn`, `error`, `fatal` or `unanswered`.
        asked_of: What it was asked of, such as `3 batches`.
        found: What was found.
        checked_at: When, UTC.
        note: What of it was found before this run; empty where nothing was.
        is_carried: Whether it was last asked before this run.
        failing: What fails, a few batches of it.
        more: How many batches more fail.
    """

    expectation: str
    type: str
    arguments: Mapping[str, Any]
    severity: str
    verdict: str
    asked_of: str
    found: str
    checked_at: datetime
    note: str = ""
    is_carried: bool = False
    failing: Sequence[SampleRows] = ()
    more: int = 0

    @property
    def tone(self) -> str:
        """How it is coloured."""
        return {"passed": GOOD, "warn": NOTICE}.get(self.verdict, BAD)

    @property
    def anchor(self) -> str:
        """Its place in the page, after that of its table."""
        return re.sub(r"[^\w.-]+", "-", self.expectation)

    @property
    def call(self) -> str:
        """Type and arguments as one would say them."""
        said = ", ".join(f"{name}: {spell(value)}" for name, value in self.arguments.items())
        said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
        return f"{self.type}({said})"


@dataclass(frozen=True)
class CheckedTable:
    """A table with its expectations.

    Args:
        name: Schema and name.
        checks: What was expected of it.
    """

    name: str
    checks: Sequence[Check]

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return self.name.replace(".", "-")

    @property
    def ordered(self) -> list[Check]:
        """What fails first."""
        return sorted(self.checks, key=lambda check: [BAD, NOTICE, GOOD].index(check.tone))

    @property
    def tone(self) -> str:
        """That of the worst of its checks."""
        return self.ordered[0].tone if self.checks else GOOD

    @property
    def summary(self) -> str:
        """How many of its checks passed."""
        passed = sum(check.tone == GOOD for check in self.checks)
        return f"{passed} of {len(self.checks)} passed"


@dataclass(frozen=True)
class HeldBatch:
    """A batch that is not published.

    Args:
        batch: The batch.
        reasons: Why.
        release: The command that publishes it as it is.
    """

    batch: str
    reasons: Sequence[str]
    release: str


@dataclass(frozen=True)
class Page:
    """What a page says.

    Args:
        title: What it is about.
        verdict: The verdict in a few words.
        tone: How it is coloured.
        lead: What that means for its reader.
        facts: What else is to be known of the run: label and value.
        tables: The tables that were checked, in their order.
        held: Batches that are not published, a few of them.
        held_count: How many there are.
        problems: What fails beside batches, in sentences.
        made_at: When the page was made, UTC.
        state: What is held and stands in the way, in a word that programs compare.
    """

    title: str
    verdict: str
    tone: str
    lead: str
    facts: Sequence[tuple[str, str]]
    tables: Sequence[CheckedTable]
    held: Sequence[HeldBatch] = ()
    held_count: int = 0
    problems: Sequence[str] = ()
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: str = ""

    @property
    def counts(self) -> list[tuple[str, str, str]]:
        """Numbers for the top: number, what it counts, tone."""
        checks = [check for table in self.tables for check in table.checks]
        by_tone = {tone: sum(check.tone == tone for check in checks) for tone in (GOOD, NOTICE, BAD)}
        counts = [
            (f"{by_tone[GOOD]}", f"of {plural(len(checks), 'expectation')} passed", GOOD),
            (f"{by_tone[NOTICE]}", "warn" if by_tone[NOTICE] != 1 else "warns", NOTICE if by_tone[NOTICE] else ""),
            (f"{by_tone[BAD]}", "fail" if by_tone[BAD] != 1 else "fails", BAD if by_tone[BAD] else ""),
        ]
        if self.held_count:
            counts.append((f"{self.held_count:,}", "batch held" if self.held_count == 1 else "batches held", BAD))
        carried = sum(check.is_carried for check in checks)
        return [*counts, (f"{carried}", "carried over from earlier runs", "")] if carried else counts

    @property
    def attention(self) -> list[tuple[CheckedTable, Check]]:
        """What does not pass, the worst first."""
        found = [(table, check) for table in self.tables for check in table.checks if check.tone != GOOD]
        return sorted(found, key=lambda one: one[1].tone != BAD)


def place_of(table: str) -> tuple[int, str]:
    """Where a table stands among others, from raw to marts; given with its schema."""
    layer = table.partition(".")[0]
    return (_LAYERS.index(layer) if layer in _LAYERS else len(_LAYERS), table)


def render(page: Page) -> str:
    """The page as HTML: without scripts, and without anything from elsewhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": _moment, "cell": _cell}
    return environment.get_template("page.html").render(page=page)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _cell(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)
