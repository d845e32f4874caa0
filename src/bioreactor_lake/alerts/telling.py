"""From what was found to who is told: incidents begin, go on and end, each told once to each channel."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bioreactor_lake.alerts.configuration import AlertSettings, Channel, read_settings
from bioreactor_lake.alerts.delivery import deliver_pending
from bioreactor_lake.alerts.messages import Ending, Place, tell_of_ended, tell_of_opened
from bioreactor_lake.alerts.state import AlertState, Incident
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.incidents import Finding, Kind, findings
from bioreactor_lake.lineage.redaction import redact

Ended = Callable[[str], bool]


@dataclass(frozen=True)
class Observation:
    """What was found amiss of a kind.

    Args:
        found: Every thing that is amiss.
        has_ended: Of a thing that is not among them, whether it is known to be over; by default it is.
        how: How what is over ended; None for what a run has seen.
    """

    found: Sequence[Finding] = ()
    has_ended: Ended = lambda what: True
    how: Ending | None = None


def tell(
    settings: AlertSettings,
    observed: Mapping[Kind, Observation],
    run_id: str = "",
    *,
    killed: Sequence[Finding] = (),
) -> list[str]:
    """Keep what was found, and tell each channel what is new to it. Never raises for what a channel does.

    Args:
        settings: Who is told what.
        observed: What was found, by kind; a kind that was not looked for is left out.
        run_id: The run that found it; empty outside of one.
        killed: Failures of runs before it that could not tell of themselves, and may be over by now.

    Returns:
        What the user at the terminal should know: what was not delivered, and why.
    """
    notices: list[str] = []

    def record(state: AlertState) -> AlertState:
        try:
            _record(state, settings, observed, run_id, killed)
        except BaseException:
            state.close()
            raise
        return state

    try:
        state = record(AlertState(settings.state_file))
    except (OSError, sqlite3.Error):
        try:
            # The disk may be full.
            state = record(AlertState(settings.state_file, undoes=False))
        except (OSError, sqlite3.Error) as error:
            # Better to say something twice than not at all.
            notices.append(f"What alerts told cannot be kept in {settings.state_file} ({error}): they may be repeated.")
            state = record(AlertState(None))
    try:
        dropped = state.give_up_old(time.time())
        problems = deliver_pending(state, settings.channels, settings.seconds)
        pending = state.count_pending()
    finally:
        state.close()
    labels = {channel.name: channel.label for channel in settings.channels}
    notices += [f"{_alerts(count)} not delivered to {name} for days and given up." for name, count in dropped.items()]
    notices += [
        f"{_alerts(pending[name])} not delivered yet to {labels[name]}: {problem}. The next run tries again."
        for name, problem in problems.items()
        if name in pending
    ]
    return notices


def tell_of(
    kind: Kind,
    found: Iterable[tuple[str, str]],
    root: Path,
    *,
    env: str | None = None,
    fine: Collection[str] | None = None,
    how: Ending | None = None,
) -> list[str]:
    """Tell of all that a command found amiss of a kind: what is new begins, what is no longer among it ends.

    Args:
        kind: What was looked for, such as `staleness`.
        found: Every table, batch or file concerned, with the reason; without values of the data.
        root: The project's folder.
        env: Kedro's environment.
        fine: What was looked at and is not amiss; None for everything else.
        how: How that ended; None for what a run has seen.

    Returns:
        As `tell`. What is wrong with the configuration of alerts is among it, too.
    """
    try:
        settings = read_settings(root, env=env)
        if not settings.channels and not settings.warehouse.parent.exists():
            return []
        observation = Observation(findings(found), lambda what: fine is None or what in fine, how)
        return tell(settings, {kind: observation})
    except LakeError as error:
        return [f"Nobody was alerted: {error}"]
    except Exception as error:
        # What others say may hold an address.
        return [f"Nobody was alerted: {type(error).__name__}"]


def place_of(settings: AlertSettings, run_id: str = "") -> Place:
    """Where things are amiss."""
    try:
        lake_id = settings.warehouse.with_name("lake_id").read_text().strip()
    except (OSError, UnicodeDecodeError):
        lake_id = ""
    return Place(
        settings.lake, lake_id, str(settings.warehouse), socket.gethostname(), settings.environment, run_id
    )  # fmt: skip


def _record(
    state: AlertState,
    settings: AlertSettings,
    observed: Mapping[Kind, Observation],
    run_id: str,
    killed: Sequence[Finding],
) -> None:
    """Keep what was found and, in the same transaction, the messages that tell of it."""
    now, place = time.time(), place_of(settings, run_id)
    with state.changing():
        # Before anything ends: they may have by now.
        _begin(state, settings, "failure", killed, place, now)
        for kind, observation in observed.items():
            _end(state, settings, kind, observation, place, now)
            _begin(state, settings, kind, observation.found, place, now)


def _begin(
    state: AlertState, settings: AlertSettings, kind: Kind, found: Sequence[Finding], place: Place, now: float
) -> None:
    """What is amiss begins or goes on."""
    state.see(kind, [_without_secrets(one, settings) for one in found], place.run_id, now)
    current = {finding.what for finding in found}
    seen = [one for one in state.incidents(kind) if one.finding.what in current] if found else []
    for channel in settings.channels:
        news = [one for one in seen if _is_news(one, channel, settings, now)] if kind in channel.kinds else []
        if news:
            message = tell_of_opened(kind, news, channel, place, settings.secrets)
            state.tell(channel.name, news, message, now)


def _end(
    state: AlertState, settings: AlertSettings, kind: Kind, observation: Observation, place: Place, now: float
) -> None:
    """What was amiss and is no longer so ends."""
    current = {finding.what for finding in observation.found}
    over = [
        one
        for one in state.incidents(kind)
        if one.finding.what not in current and observation.has_ended(one.finding.what)
    ]
    for channel in settings.channels:
        known = [one for one in over if channel.name in one.told]
        if known and channel.recoveries:
            message = tell_of_ended(kind, known, channel, place, settings.secrets, now, observation.how)
            state.tell(channel.name, [], message, now)
    for one in over:
        state.end(one)


def _without_secrets(finding: Finding, settings: AlertSettings) -> Finding:
    """What may be kept: an error may quote an address or a password."""
    why, in_full, kept, next_step = (
        redact(text, settings.secrets) for text in (finding.why, finding.in_full, finding.kept, finding.next_step)
    )
    return replace(finding, why=why, in_full=in_full, kept=kept, next_step=next_step)


def _is_news(incident: Incident, channel: Channel, settings: AlertSettings, now: float) -> bool:
    told = incident.told.get(channel.name)
    if told is None:
        return True
    return settings.remind_hours is not None and now - told >= settings.remind_hours * 3600


def _alerts(count: int) -> str:
    return "1 alert was" if count == 1 else f"{count:,} alerts were"
