"""How old a layer may be, and what that makes of the age that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bioreactor_lake.errors import UsageError

FRESH, STALE, TOO_OLD, NEVER_BUILT, UNREACHABLE = "fresh", "stale", "too old", "never built", "unreachable"
"""What a layer is called."""

LAYERS = {"raw": "ingestion", "staging": "staging", "curated": "curated", "marts": "marts"}
"""The layers, and the pipeline that makes each."""

_HOUR = timedelta(hours=1)
_FILE = "conf/*/parameters_freshness.yml"


@dataclass(frozen=True)
class Limits:
    """How old something may be.

    Args:
        warn_hours: Past this age it is stale; None for never.
        error_hours: Past this age it is too old; None for never.
    """

    warn_hours: float | None = None
    error_hours: float | None = None

    def judge(self, moment: datetime | None, now: datetime) -> str:
        """What to call something of a moment; None is older than any.

        >>> now = datetime(2026, 1, 2, tzinfo=UTC)
        >>> Limits(24, 48).judge(datetime(2026, 1, 1, tzinfo=UTC), now), Limits(24, 48).judge(None, now)
        ('fresh', 'too old')
        """
        for limit, verdict in ((self.error_hours, TOO_OLD), (self.warn_hours, STALE)):
            if limit is not None and (moment is None or (now - moment) / _HOUR > limit):
                return verdict
        return FRESH


@dataclass(frozen=True)
class LayerLimits:
    """How old the newest reading of a layer may be, and the last run that brought it up to date."""

    data: Limits = Limits()
    run: Limits = Limits()


def read_clock() -> datetime:
    """The time that ages are counted up to."""
    return datetime.now(UTC)


def read_limits(config: Mapping[str, Any] | None) -> dict[str, LayerLimits]:
    """The limits of every layer, from the parameter `freshness`.

    Raises:
        UsageError: It says what means nothing.
    """
    config = {} if config is None else config
    if not isinstance(config, Mapping):
        raise _meaningless(f"freshness is {config!r}", f"It has a part for each of: {', '.join(LAYERS)}.")
    for layer in config:
        if layer not in LAYERS:
            raise _meaningless(f"{layer} is no layer", f"Use one of: {', '.join(LAYERS)}.")
    return {layer: _read_layer(layer, config.get(layer) or {}) for layer in LAYERS}


def _read_layer(layer: str, config: Any) -> LayerLimits:
    if not isinstance(config, Mapping) or not {*config} <= {"data", "run"}:
        raise _meaningless(f"freshness.{layer} is {config!r}", "It has `data` and `run`, each with its limits.")
    return LayerLimits(**{name: _read(f"{layer}.{name}", limits or {}) for name, limits in config.items()})


def _read(name: str, config: Any) -> Limits:
    if not isinstance(config, Mapping) or not {*config} <= {"warn_hours", "error_hours"}:
        raise _meaningless(f"freshness.{name} is {config!r}", "It has `warn_hours` and `error_hours`.")
    for limit, hours in config.items():
        # NaN is no limit that anything could be past.
        if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float) or not hours >= 0):
            raise _meaningless(f"freshness.{name}.{limit} is {hours!r}", "Give a number of hours, or null for none.")
    return Limits(**config)


def _meaningless(what: str, next_step: str) -> UsageError:
    return UsageError(f"In {_FILE} {what}.", next_step=next_step)
