"""The jobs and datasets that Marquez makes of the names in events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Identity(NamedTuple):
    """A dataset or a job: Marquez joins on exactly these two."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace} {self.name}"


class DrawnJob(NamedTuple):
    """The job of one event.

    Args:
        job: What the graph shows it as.
        parent: The job that it is shown under.
        second: The parent where Marquez makes a second job for it, because the run that the facet names is drawn as
            another job than the facet says.
    """

    job: Identity
    parent: Identity | None = None
    second: Identity | None = None


def identify(value: Mapping[str, Any]) -> Identity:
    return Identity(value["namespace"], value["name"])


def find_parent(event: Mapping[str, Any]) -> dict[str, Any] | None:
    facets = event["run"].get("facets") or {}
    return facets.get("parent")


class JobNames:
    """What jobs are drawn as.

    A job with a parent is stored without the parent's name in front and drawn as `parent.job`. The parent is the job of
    the run that the facet names, if it is drawn under the very namespace and name of the facet; else Marquez assumes
    that two runs got one id, and makes a job and a run of its own, in the namespace of the child. So a pipeline that
    has a parent itself is drawn as `parent.pipeline`, and a node that calls it `pipeline` gets a second one.
    """

    def __init__(self) -> None:
        self._of_run: dict[str, Identity] = {}

    def draw(self, event: Mapping[str, Any]) -> DrawnJob:
        sent, run = identify(event["job"]), event["run"]["runId"]
        drawn = DrawnJob(sent)
        if facet := find_parent(event):
            named = identify(facet["job"])
            if named.name == sent.name:
                named = named._replace(name=named.name.rpartition(".")[0] or named.name)
            known = self._of_run.get(facet["run"]["runId"])
            parent, second = named, None
            if known != named:
                parent = Identity(sent.namespace, named.name)
                second = parent if known is not None else None
                self._of_run.setdefault(facet["run"]["runId"], parent)
            simple = sent.name.removeprefix(f"{parent.name}.")
            drawn = DrawnJob(Identity(sent.namespace, f"{parent.name}.{simple}"), parent, second)
        self._of_run[run] = drawn.job
        return drawn


class DatasetNames:
    """Which names mean one dataset.

    A symlink makes a name that was never seen point to a dataset. Once a name is a dataset of its own it stays one, and
    the symlink is dropped without a word.
    """

    def __init__(self) -> None:
        self._primary: dict[Identity, Identity] = {}

    def find(self, name: Identity) -> Identity:
        """The dataset of a name."""
        return self._primary.get(name, name)

    def add(self, dataset: Mapping[str, Any]) -> tuple[Identity, list[Identity]]:
        """Take up a dataset of an event; with it come the other names that are another dataset already."""
        primary = self._primary.setdefault(identify(dataset), identify(dataset))
        others = [identify(one) for one in _identifiers(dataset)]
        return primary, [one for one in others if self._primary.setdefault(one, primary) != primary]

    def names_of(self, primary: Identity) -> set[Identity]:
        return {name for name, one in self._primary.items() if one == primary}


def _identifiers(dataset: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    facet = (dataset.get("facets") or {}).get("symlinks") or {}
    return facet.get("identifiers") or ()
