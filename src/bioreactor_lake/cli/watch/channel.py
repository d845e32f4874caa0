"""How the watch and its worker talk: a message is a JSON object on a line of its own."""

from __future__ import annotations

import json
from typing import IO, Any

Message = dict[str, Any]


def send(stream: IO[str], message: Message) -> None:
    """Say something.

    Raises:
        OSError: Nobody listens any more.
    """
    stream.write(json.dumps(message, default=str) + "\n")
    stream.flush()


def receive(stream: IO[str]) -> Message | None:
    """What was said next; None where nothing more will be."""
    line = stream.readline()
    # Without its end it was cut off: its sender was killed.
    return dict(json.loads(line)) if line.endswith("\n") else None
