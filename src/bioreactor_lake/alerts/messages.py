"""What a message says: what, where, since when, what was kept, what to do, and which run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from bioreactor_lake.alerts.configuration import Channel
from bioreactor_lake.alerts.state import Incident, Message
from bioreactor_lake.lake.incidents import Kind
from bioreactor_lake.lineage.redaction import redact

_LISTED = 20
_LONGEST_SUBJECT = 100
_LONGEST_LINE = 400


@dataclass(frozen=True)
class Wording:
    """How one kind is spoken of.

    Args:
        label: In a subject, before what it is about.
        one: What one of them is.
        many: What several are.
        kept: What is still valid.
        next_step: What to do.
        ended: What a run has seen when it is over.
    """

    label: str
    one: str
    many: str
    kept: str
    next_step: str
    ended: str


_WORDINGS: dict[Kind, Wording] = {
    "failure": Wording(
        "failed", "run", "runs", "What was being written was rolled back.", "See why: kedro lake status",
        "A run wrote it.",
    ),
    "held": Wording(
        "held", "batch", "batches",
        "What was published of them before stays, if anything was; every other batch was published.",
        "Mend their data and run again, or release them with a reason: kedro lake release",
        "The marts hold again what the raw files say.",
    ),
    "failing": Wording(
        "fails its checks", "table", "tables",
        "No batch is held for it: what is checked is the table as a whole.",
        "Look at it with kedro lake check; mend the data, or the suite in conf/base/suites.",
        "It meets its suite, or nothing is expected of it any more.",
    ),
    "quarantine": Wording(
        "quarantined", "raw file", "raw files",
        "Every other file was taken in.",
        "Mend them, or move them out of the raw folder, and run again; raw.files keeps the reasons.",
        "They were taken in, or are gone.",
    ),
    "rejected": Wording(
        "rows set aside", "file", "files",
        "Every other row was taken in.",
        "See which and why: staging.rejected_readings, landing.rejected_lines, marts.mart_set_aside. Mend the file, "
        "the reading rules or the profile, and run again.",
        "Every row was taken in, or the file is gone.",
    ),
    "nothing_to_ingest": Wording(
        "nothing to ingest", "raw folder", "raw folders", "Every table is as it was.", "See that raw files arrive.",
        "There are raw files again.",
    ),
    "staleness": Wording(
        "stale", "layer", "layers", "The tables hold what they held.",
        "See that raw files arrive and runs succeed: kedro lake freshness, kedro lake runs",
        "It is fresh.",
    ),
    "lateness": Wording(
        "late", "run", "runs", "What was written is valid.", "See what it waited for, or give it more time.",
        "A run was in time.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where something happened.

    Args:
        lake: What the lake is called.
        lake_id: Its id; empty where it has none yet.
        warehouse: The DuckDB file.
        host: The machine.
        environment: Kedro's environment.
        run_id: The run that tells of it; empty outside of one.
    """

    lake: str
    lake_id: str
    warehouse: str
    host: str
    environment: str
    run_id: str


@dataclass(frozen=True)
class Ending:
    """How something ended that no run has seen the end of.

    Args:
        plain: Without names or values.
        by: Who ended it.
        reason: Why, in that person's words, which may hold values of the data.
    """

    plain: str
    by: str = ""
    reason: str = ""

    def for_channel(self, channel: Channel) -> str:
        """As much of it as a channel may be told."""
        by = f" by {self.by}" if self.by and channel.names else ""
        reason = f": {self.reason}" if self.reason and channel.values else ""
        return f"{self.plain}{by}{reason}"


def tell_of_opened(
    kind: Kind, incidents: Sequence[Incident], channel: Channel, place: Place, secrets: Iterable[str]
) -> Message:
    """The message that things are amiss; of those that the channel was told of before, that they still are."""
    words, first = _WORDINGS[kind], incidents[0].finding
    still = "still " if any(channel.name in one.told for one in incidents) else ""
    names = channel.names
    items = [_item(one, channel) for one in incidents] if names else []
    facts = {
        "Where": _where(place, names),
        "Since": spell_time(min(one.opened_at for one in incidents)),
        "Kept": (first.kept if names else "") or words.kept,
        "Next": (first.next_step if names else "") or words.next_step,
        "Run": place.run_id,
    }
    return _compose(f"{still}{words.label}", _things(words, incidents, names), items, facts, place, secrets)


def tell_of_ended(
    kind: Kind,
    incidents: Sequence[Incident],
    channel: Channel,
    place: Place,
    secrets: Iterable[str],
    now: float,
    how: Ending | None = None,
) -> Message:
    """The message that things are no longer amiss, and how they ended; None for what a run has seen."""
    words = _WORDINGS[kind]
    items = [
        f"{one.finding.what}: since {spell_time(one.opened_at)}, for {spell_duration(now - one.opened_at)}"
        for one in incidents
    ]
    since = min(one.opened_at for one in incidents)
    facts = {
        "Where": _where(place, channel.names),
        "Since": f"{spell_time(since)}, for {spell_duration(now - since)}",
        "How": words.ended if how is None else how.for_channel(channel),
        "Run": place.run_id,
    }
    about = _things(words, incidents, channel.names)
    listed = items if channel.names and len(items) > 1 else []
    return _compose(f"recovered: {words.label}", about, listed, facts, place, secrets, good=True)


def tell_of_test(channel: Channel, place: Place, secrets: Iterable[str]) -> Message:
    """The message that shows that a channel works."""
    facts = {"Where": _where(place, channel.names), "Kinds": ", ".join(channel.kinds)}
    return _compose("test", "nothing is amiss, this channel works", [], facts, place, secrets, good=True)


def _compose(
    label: str, about: str, items: Sequence[str], facts: dict[str, str], place: Place, secrets: Iterable[str],
    *, good: bool = False,
) -> Message:  # fmt: skip
    secrets = tuple(secrets)

    def clean(text: str) -> str:
        # Of names too: a line break in one would be the end of a subject.
        return _cut(redact(re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip(), secrets), _LONGEST_LINE)

    headline = clean(f"{label}: {about}")
    listed = [clean(item) for item in items[:_LISTED]]
    if len(items) > _LISTED:
        listed.append(f"and {len(items) - _LISTED:,} more: kedro lake alerts")
    told = {name: clean(text) for name, text in facts.items() if text}
    lines = [headline[:1].upper() + headline[1:], ""]
    lines += [*(f"- {item}" for item in listed), ""] if listed else []
    lines += [f"{name}: {text}" for name, text in told.items()]
    html = f"<p><b>{escape(lines[0])}</b></p>"
    if listed:
        html += f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in listed)}</ul>"
    html += f"<p>{'<br/>'.join(f'<b>{name}:</b> {escape(text)}' for name, text in told.items())}</p>"
    subject = _cut(f"[{clean(place.lake)} {clean(place.environment)}] {headline}", _LONGEST_SUBJECT)
    return Message(subject, "\n".join(lines), html, good)


def _item(incident: Incident, channel: Channel) -> str:
    finding = incident.finding
    why = finding.in_full if channel.values and finding.in_full else finding.why
    return f"{finding.what}: {why}" if why else finding.what


def _things(words: Wording, incidents: Sequence[Incident], names: bool) -> str:
    if len(incidents) == 1:
        return incidents[0].finding.what if names else f"1 {words.one}"
    return f"{len(incidents):,} {words.many}"


def _where(place: Place, names: bool) -> str:
    lake = f"lake {place.lake}" + (f" ({place.lake_id[:8]})" if place.lake_id else "")
    return f"{lake}{f' in {place.warehouse}' if names else ''}, host {place.host}, environment {place.environment}"


def spell_time(seconds: float) -> str:
    """A time, as everywhere in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def spell_duration(seconds: float) -> str:
    """A length of time in its two largest units.

    >>> spell_duration(42), spell_duration(7_500), spell_duration(200_000)
    ('42 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    minutes = int(seconds // 60)
    for size, large, part, small in ((1440, "d", 60, "h"), (60, "h", 1, "min")):
        if minutes >= size:
            rest = minutes % size // part
            return f"{minutes // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{minutes} min"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
