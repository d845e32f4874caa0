"""The delivery of alerts, by a child process that has some seconds: no more is what a channel costs that is dead."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bioreactor_lake.alerts.addresses import secrets_of
from bioreactor_lake.alerts.configuration import Channel
from bioreactor_lake.alerts.state import AlertState, Message

NOT_INSTALLED = "apprise is not installed: pip install 'bioreactor-lake[alerts]'"
NO_TIME = "there was no time"
_LOOK_AGAIN_SECONDS = 0.1
# Until the child is ready to send, which takes one second where nothing else is at work.
_START_SECONDS = 15.0
# A process that is killed while it sends keeps others from it for so much longer than it had.
_GRACE_SECONDS = _START_SECONDS + 5


@dataclass
class Delivery:
    """What became of the messages of a channel.

    Args:
        sent: Those that it got, by their numbers.
        problem: Why it got no more; empty where it got all.
    """

    sent: list[int] = field(default_factory=list)
    problem: str = ""


def deliver_pending(state: AlertState, channels: Sequence[Channel], seconds: float) -> dict[str, str]:
    """Deliver what channels have not got, for so long at most.

    Args:
        state: What is to be delivered.
        channels: The channels that are configured.
        seconds: How long.

    Returns:
        For each channel that did not get all, why.
    """
    deadline = time.monotonic() + seconds
    problems: dict[str, str] = {}
    while left := [one for one in channels if one.name not in problems and state.pending(one.name)]:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return problems | {one.name: NO_TIME for one in left}
        mine = [one for one in left if state.begin_sending(one.name, remaining + _GRACE_SECONDS)]
        if not mine:
            # Another process does; what it has not seen yet is left to this one.
            time.sleep(_LOOK_AGAIN_SECONDS)
            continue
        try:
            for name, delivery in send({one: state.pending(one.name) for one in mine}, remaining).items():
                for number in delivery.sent:
                    state.confirm(number)
                if delivery.problem:
                    problems[name] = delivery.problem
        finally:
            for one in mine:
                state.end_sending(one.name)
    return problems


def send(messages: Mapping[Channel, Sequence[tuple[int, Message]]], seconds: float) -> dict[str, Delivery]:
    """Send messages, for so long at most.

    Args:
        messages: For each channel its messages with their numbers, in order.
        seconds: How long.
    """
    deliveries = {channel.name: Delivery() for channel in messages}
    problem = NO_TIME
    if find_spec("apprise") is None:
        problem, output = NOT_INSTALLED, b""
    else:
        order = {"seconds": seconds, "channels": [_order(channel, listed) for channel, listed in messages.items()]}
        try:
            output = _ask_child(json.dumps(order).encode(), seconds)
        except OSError as error:
            problem, output = f"the process that sends them could not be started: {error.strerror}", b""
    for line in output.splitlines():
        with contextlib.suppress(ValueError):  # cut off where the process was killed
            said = json.loads(line)
            delivery = deliveries[said["channel"]]
            delivery.sent += [said["sent"]] if "sent" in said else []
            delivery.problem = said.get("problem", delivery.problem)
    for channel, listed in messages.items():
        delivery = deliveries[channel.name]
        if len(delivery.sent) < len(listed) and not delivery.problem:
            delivery.problem = problem
    return deliveries


def _order(channel: Channel, messages: Sequence[tuple[int, Message]]) -> dict[str, Any]:
    return {
        "name": channel.name,
        "url": channel.url,
        "secrets": sorted(secrets_of(channel.url)),
        "messages": [{"id": number, **asdict(message)} for number, message in messages],
    }


def _ask_child(order: bytes, seconds: float) -> bytes:
    """What the child says until it has done or its time is over. Its input is where no list of processes shows it."""
    sources = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "bioreactor_lake.alerts.sender"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": f"{sources}{os.pathsep}{known}" if known else sources},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(order, timeout=_START_SECONDS + seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return output
