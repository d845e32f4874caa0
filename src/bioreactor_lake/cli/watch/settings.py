"""What is configured of a watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bioreactor_lake.errors import UsageError

_FILE = "conf/*/parameters_watch.yml"


@dataclass(frozen=True)
class WatchSettings:
    """The parameter group `watch`.

    Args:
        quiet_seconds: So long nothing may have changed before a run begins.
        longest_wait_seconds: And after so long it begins all the same.
        poll_seconds: How often the raw files are listed in place of being told of changes; None to be told.
        look_seconds: How often they are listed besides.
        unfinished_minutes: How long after its last write a file that is not whole is waited for.
        retry_seconds: How long a failed run is not tried again; twice as long after each further one.
        longest_retry_seconds: At most so long.
        silent_seconds: How long a worker may give no sign of life.
        host: The address that HTTP is answered at.
        port: Its port; 0 for any that is free.
    """

    quiet_seconds: float = 0.05
    longest_wait_seconds: float = 5
    poll_seconds: float | None = None
    look_seconds: float = 600
    unfinished_minutes: float = 10
    retry_seconds: float = 5
    longest_retry_seconds: float = 300
    silent_seconds: float = 300
    host: str = "127.0.0.1"
    port: int = 9464

    @classmethod
    def read(cls, configured: Mapping[str, Any], given: Mapping[str, Any]) -> WatchSettings:
        """The settings.

        Args:
            configured: The parameter group.
            given: What the command was given in its place, by name; None is passed over.

        Raises:
            UsageError: A name or a value means nothing.
        """
        kinds = {one.name: one.type for one in fields(cls)}
        settings = {**configured, **{name: value for name, value in given.items() if value is not None}}
        for name, value in settings.items():
            if name not in kinds:
                known = ", ".join(kinds)
                raise UsageError(f"There is no setting watch.{name}.", next_step=f"Correct {_FILE}: {known}.")
            number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            nothing = value is None and name == "poll_seconds"
            if not (isinstance(value, str) if name == "host" else number or nothing):
                raise UsageError(f"watch.{name} cannot be {value!r}.", next_step=f"Correct it in {_FILE}.")
        return cls(**settings)

    @property
    def patience_seconds(self) -> float:
        """How long a file that is not whole is waited for."""
        return self.unfinished_minutes * 60
