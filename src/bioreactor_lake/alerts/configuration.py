"""Who is told what: `alerts.yml`, and the addresses among the credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bioreactor_lake.alerts import VARIABLE, state_file
from bioreactor_lake.alerts.addresses import secrets_of
from bioreactor_lake.environment import read_secret
from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.incidents import KINDS, Kind
from bioreactor_lake.lineage.redaction import find_secrets

_WHERE = "See conf/base/alerts.yml."
_OF_CHANNEL = ("kinds", "recoveries", "names", "values")
_NUMBERS = {"seconds": 5.0, "remind_hours": None, "late_after_minutes": None}


@dataclass(frozen=True)
class Channel:
    """Somewhere that alerts go.

    Args:
        name: What it is called; no secret.
        url: Its address as apprise spells it, a secret as a whole.
        kinds: What it is told of.
        recoveries: Whether it is told of the end as well.
        names: Whether it may be told the names of tables, batches and files.
        values: Whether it may be told values of the data.
    """

    name: str
    url: str = field(repr=False)
    kinds: tuple[Kind, ...] = KINDS
    recoveries: bool = True
    names: bool = True
    values: bool = False

    @property
    def label(self) -> str:
        """Its name with its kind of address, for people."""
        return f"{self.name} ({self.url.partition('://')[0]})"


@dataclass(frozen=True)
class AlertSettings:
    """The configuration of alerts.

    Args:
        channels: Where they go.
        lake: What the lake is called in them.
        environment: Kedro's environment.
        warehouse: The DuckDB file, beside which it is kept what was told.
        seconds: How long channels have to answer at the end of a run.
        remind_hours: After so long, an incident that goes on is told again; None for never.
        late_after_minutes: A scheduled run that ends so long after its time is late; None for never.
        secrets: What no message may hold.
    """

    channels: tuple[Channel, ...]
    lake: str
    environment: str
    warehouse: Path
    seconds: float = 5.0
    remind_hours: float | None = None
    late_after_minutes: float | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def state_file(self) -> Path:
        """Where it is kept what was told."""
        return state_file(self.warehouse)


def read_settings(root: Path, *, env: str | None = None, conf_source: str | None = None) -> AlertSettings:
    """The configuration of a project, without anything that a run has.

    Args:
        root: The project's folder.
        env: Kedro's environment; None for the default.
        conf_source: Another folder of configuration than the project's.

    Raises:
        UsageError: It says what means nothing.
    """
    from kedro.config import MissingConfigException, OmegaConfigLoader
    from kedro.framework.project import settings

    arguments = dict(settings.CONFIG_LOADER_ARGS)
    env = env or os.environ.get("KEDRO_ENV") or None
    loader = OmegaConfigLoader(conf_source or str(root / "conf"), env=env, **arguments)

    def read(name: str) -> dict[str, Any]:
        try:
            return dict(loader[name])
        except (KeyError, MissingConfigException):
            return {}

    given, credentials = read("alerts"), read("credentials")
    warehouse = root / read("globals")["warehouse"]["filepath"]
    environment = env or str(arguments.get("default_run_env", ""))
    return from_config(given, credentials, os.environ, warehouse=warehouse, environment=environment)


def from_config(
    given: Mapping[str, Any],
    credentials: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    warehouse: Path,
    environment: str,
) -> AlertSettings:
    """Settings from the content of `alerts.yml`, the credentials and the environment.

    Raises:
        UsageError: They say what means nothing. The message holds no address.
    """
    if unknown := sorted(set(given) - {"lake", "channels", *_OF_CHANNEL, *_NUMBERS}):
        raise UsageError(f"alerts.yml has {unknown[0]!r}, which means nothing.", next_step=_WHERE)
    numbers = {name: _number(name, given.get(name, default)) for name, default in _NUMBERS.items()}
    usual = {name: given[name] for name in _OF_CHANNEL if name in given}
    addresses = _addresses(credentials.get("alerts"), read_secret(VARIABLE, environ))
    differing = given.get("channels") or {}
    channels = []
    for name, url in addresses.items():
        own = {**usual, **(differing.get(name.partition(" ")[0]) or differing.get(name) or {})}
        channels.append(_channel(name, url, own))
    secrets = find_secrets(environ, credentials) | {part for url in addresses.values() for part in secrets_of(url)}
    return AlertSettings(
        channels=tuple(channels),
        lake=str(given.get("lake") or "bioreactor_lake"),
        environment=environment,
        warehouse=warehouse,
        seconds=numbers["seconds"] or 0.0,
        remind_hours=numbers["remind_hours"],
        late_after_minutes=numbers["late_after_minutes"],
        secrets=frozenset(secrets),
    )


def _addresses(given: Any, variable: str) -> dict[str, str]:
    """Names and URLs: those of the credentials, each a URL or a list of them, and those of the variable."""
    if isinstance(given, str):
        given = {"alerts": given}
    if given is not None and not isinstance(given, Mapping):
        raise UsageError("The credentials' `alerts` are no names with addresses.", next_step=_WHERE)
    found: dict[str, str] = {}
    for name, urls in (given or {}).items():
        for number, url in enumerate([urls] if isinstance(urls, str) else urls or (), start=1):
            if not isinstance(url, str):
                raise UsageError(f"The credentials' `alerts.{name}` is no address.", next_step=_WHERE)
            if url.strip():
                found[str(name) if number == 1 else f"{name} {number}"] = url.strip()
    for number, url in enumerate(variable.split(), start=1):
        found[VARIABLE if number == 1 else f"{VARIABLE} {number}"] = url
    return found


def _channel(name: str, url: str, given: Mapping[str, Any]) -> Channel:
    where = f"alerts.yml, channel {name}"
    if "://" not in url:
        raise UsageError(f"The address of the alert channel {name} is none.", next_step=_WHERE)
    if unknown := sorted(set(given) - set(_OF_CHANNEL)):
        raise UsageError(f"{where}: {unknown[0]!r} means nothing.", next_step=f"Use {', '.join(_OF_CHANNEL)}.")
    kinds = given.get("kinds", KINDS)
    if isinstance(kinds, str) or any(kind not in KINDS for kind in kinds or ()):
        raise UsageError(f"{where}: kinds is {kinds!r}.", next_step=f"Use a list of {', '.join(KINDS)}.")
    for flag in ("recoveries", "names", "values"):
        if not isinstance(given.get(flag, True), bool):
            raise UsageError(f"{where}: {flag} is {given[flag]!r}.", next_step="Use true or false.")
    flags = {flag: bool(given[flag]) for flag in ("recoveries", "names", "values") if flag in given}
    return Channel(name, url, tuple(kinds or ()), **flags)


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise UsageError(f"alerts.yml: {name} is {value!r}.", next_step=_WHERE)
    return float(value)
