"""The configuration of lineage, `openlineage.yml` in Kedro's conf."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from bioreactor_lake.errors import UsageError
from bioreactor_lake.lineage.delivery.configuration import FILE, SECONDS

_NAMESPACE = re.compile(r"[a-zA-Z0-9:/_\-.@+]{1,1024}")
_JOB = re.compile(r"[^\W\d][^\s:#]*")


@dataclass(frozen=True)
class Exposure:
    """A dashboard, report or other reader of marts.

    Args:
        name: Its name, that of its job.
        reads: Marts, as the catalog names them or by schema and name.
        description: What it shows.
        url: Where people find it.
        kind: Such as `DASHBOARD`.
        owner: Who is responsible, such as `team:bioprocess`.
    """

    name: str
    reads: tuple[str, ...]
    description: str = ""
    url: str = ""
    kind: str = "DASHBOARD"
    owner: str = ""


@dataclass(frozen=True)
class LineageSettings:
    """What `openlineage.yml` says.

    Args:
        namespace: The namespace of all jobs.
        file: Where events are appended; None for nowhere.
        transport: A transport of the OpenLineage client, as its own configuration writes it.
        seconds: How long the end of a run waits for servers.
        owners: Who is responsible for the lake, each with a `name` and perhaps a `type`.
        repository: URL of the source code, where no git folder says it.
        commit: The commit, likewise.
        postgres_hosts: For hosts as connections spell them, the names that others know them by.
        indirect_inputs: Where filters, joins and keys of a table are said: once, with its rows, or with every column.
        exposures: Readers of the marts.
    """

    namespace: str = "bioreactor_lake"
    file: str | None = FILE
    transport: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = SECONDS
    owners: tuple[Mapping[str, str], ...] = ()
    repository: str = ""
    commit: str = ""
    postgres_hosts: Mapping[str, str] = field(default_factory=dict)
    indirect_inputs: Literal["with_rows", "with_each_column"] = "with_rows"
    exposures: tuple[Exposure, ...] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LineageSettings:
        """Read the configuration.

        Raises:
            UsageError: It has a key or value that means nothing; it names the key.
        """
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(config) - known):
            raise UsageError(
                f"openlineage.yml has {', '.join(unknown)}, which means nothing.",
                next_step=f"Use {', '.join(sorted(known))}.",
            )
        said = {name: value for name, value in config.items() if value is not None or name == "file"}
        if said.get("indirect_inputs", "with_rows") not in ("with_rows", "with_each_column"):
            raise UsageError(
                f"indirect_inputs in openlineage.yml is {said['indirect_inputs']!r}.",
                next_step="Use with_rows or with_each_column.",
            )
        for key, kind, word in (
            ("owners", list, "a list"),
            ("exposures", dict, "a mapping of names"),
            ("postgres_hosts", dict, "a mapping of hosts"),
            ("transport", dict, "a mapping"),
        ):
            if not isinstance(said.get(key, kind()), kind):
                raise UsageError(f"{key} in openlineage.yml is {said[key]!r}.", next_step=f"Write it as {word}.")
        said["owners"] = tuple(
            {"name": owner} if isinstance(owner, str) else dict(owner) for owner in said.get("owners", ())
        )
        said["exposures"] = tuple(_exposure(name, content) for name, content in said.get("exposures", {}).items())
        if not _NAMESPACE.fullmatch(str(said.get("namespace", cls.namespace))):
            raise UsageError(
                f"The lineage namespace {said['namespace']!r} holds what servers refuse.",
                next_step="Use letters, digits and : / _ - . @ + in OPENLINEAGE_NAMESPACE or openlineage.yml.",
            )
        return cls(**said)


def _exposure(name: str, content: Mapping[str, Any]) -> Exposure:
    if not _JOB.fullmatch(name):
        raise UsageError(
            f"The exposure {name!r} in openlineage.yml has a name that servers refuse.",
            next_step="Begin it with a letter, and leave out colons, number signs and blanks.",
        )
    if not isinstance(content, Mapping) or not isinstance(content.get("reads", []), list):
        raise UsageError(
            f"The exposure {name} in openlineage.yml is {content!r}.", next_step="Give it a list of marts under reads."
        )
    try:
        reads = tuple(content.get("reads") or ())
        found = Exposure(name, **{**content, "reads": reads})
    except TypeError as error:
        known = ", ".join(one.name for one in fields(Exposure))
        raise UsageError(
            f"The exposure {name} in openlineage.yml has a key that means nothing: {error}.",
            next_step=f"Use {known}.",
        ) from error
    if not found.reads:
        raise UsageError(f"The exposure {name} in openlineage.yml reads nothing.", next_step="List marts under reads.")
    return found
