"""Which batches of a lake have to be held: worked out from a full build and from what happened, not from verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.increments.variants import WHOLE

Limits = Mapping[str, tuple[float, str]]
"""By table the largest value that is good, and the severity of a larger one."""

# Where a value is looked at, and the nodes that decide about it.
WATCHED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "stg_bioreactor": ("staging.stg_bioreactor", "value", ("staging.stage_readings",)),
    "fact_bioreactor_batch_stats": (
        "curated.fact_bioreactor_batch_stats",
        "max_value",
        ("staging.stage_readings", "curated.summarise_tags"),
    ),
    "mart_bioreactor_overview": (
        "marts.mart_bioreactor_overview",
        "avg_value",
        ("staging.stage_readings", "curated.describe_batches", "curated.summarise_tags", "marts.build_overview"),
    ),
}
OVERVIEW = "mart_bioreactor_overview"


def suites_of(limits: Limits) -> dict[str, dict[str, Any]]:
    """Suites with limits, and with what holds in every lake: marts have the rows of the warehouse."""
    suites: dict[str, dict[str, Any]] = {
        mart: {
            "rows_are_those_of_the_warehouse": {
                "type": "expect_totals_to_equal_other_table",
                "kwargs": {"other_table_name": f"{mart}@warehouse"},
                "severity": "error",
                "meta": {"scope": "batch"},
            }
        }
        for mart in (OVERVIEW, "mart_bioreactor_timeline")
    }
    for table, (limit, severity) in limits.items():
        suites.setdefault(table, {})["values_are_low"] = {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": WATCHED[table][1], "max_value": limit},
            "severity": severity,
        }
    return suites


@dataclass
class FullBuild:
    """A full build of the raw files as they are.

    Args:
        files: Rows of the manifest.
        peaks: By table the largest value of each batch; NaN is larger than all.
        logic: The nodes that are in place of the project's.
    """

    files: list[dict[str, Any]]
    peaks: Mapping[str, Mapping[str, float]]
    logic: Mapping[str, Any]

    def find_failing(self, table: str, limit: float) -> set[str]:
        """Batches with a value above a limit."""
        return {batch for batch, peak in self.peaks[WATCHED[table][0]].items() if not peak <= limit}

    def state_of(self, table: str, batch: str) -> tuple[object, ...]:
        """What a verdict about a batch depends on, and a release is about."""
        nodes = WATCHED[table][2]
        files = sorted(
            (one["content_hash"], one["rules_hash"])
            for one in self.files
            if one["status"] == "accepted" and batch in one["batch_ids"]
        )
        return tuple(files), tuple(self.logic.get(node) for node in nodes)

    def is_shared(self, table: str) -> bool:
        """Whether what a table has of a batch depends on other batches."""
        return any(self.logic.get(node) in WHOLE.get(node, ()) for node in WATCHED[table][2] if node in self.logic)

    @property
    def quarantined(self) -> dict[str, tuple[object, ...]]:
        """Path to state of the files that cannot be read."""
        return {
            one["path"]: (one["content_hash"], one["rules_hash"], one["reason"])
            for one in self.files
            if one["status"] == "quarantined"
        }


@dataclass
class Holds:
    """What has to be held, and what may be: what was released under other circumstances may or may not count.

    Args:
        of_all: Batches that no mart may publish as they are.
        of_overview: Batches that fail in the overview alone.
        perhaps: Batches of which it is not known.
    """

    of_all: set[str] = field(default_factory=set)
    of_overview: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)


class Memory:
    """What happened to a lake as far as it decides about holds."""

    def __init__(self) -> None:
        self.read: dict[str, frozenset[str]] = {}  # batches of each file when it was last read; none once it was gone
        self.released: dict[tuple[str, str], set[tuple[object, ...]]] = {}  # by table and batch
        self.released_files: dict[tuple[str, str], tuple[object, ...] | None] = {}  # by path and batch

    def note(self, files: Iterable[tuple[str, str, list[str] | None]]) -> None:
        """Take in path, status and batches of the manifest after a run."""
        now = {path: (status, batches) for path, status, batches in files}
        for path in self.read.keys() - now.keys():
            self.read[path] = frozenset()
        for path, (status, batches) in now.items():
            if status == "accepted":
                self.read[path] = frozenset(batches or ())
        for path, batch in list(self.released_files):
            if now.get(path, ("",))[0] != "quarantined":
                del self.released_files[path, batch]

    def shake(self) -> None:
        """The same file may be another finding from now on."""
        self.released_files = dict.fromkeys(self.released_files)

    def lose(self) -> None:
        """The warehouse is gone."""
        self.read = {}
        self.shake()

    def release(self, batch: str, build: FullBuild, sources: Mapping[str, set[str]]) -> None:
        """Somebody released a batch right after a whole run."""
        for table in WATCHED:
            self.released.setdefault((table, batch), set()).add(build.state_of(table, batch))
        for path, state in build.quarantined.items():
            if batch in self.batches_of(path, sources):
                self.released_files[path, batch] = state

    def batches_of(self, path: str, sources: Mapping[str, set[str]]) -> Iterable[str]:
        """The batches of a file that cannot be read: those of when it could or, unknown that, those published."""
        return self.read.get(path, frozenset(sources.get(path, ())))

    def expect(self, build: FullBuild, limits: Limits, sources: Mapping[str, set[str]]) -> Holds:
        """What a whole run should hold.

        Args:
            build: A full build.
            limits: The limits in force.
            sources: By path the batches that were published with rows of it, before the run.
        """
        holds = Holds()
        for path, state in build.quarantined.items():
            for batch in self.batches_of(path, sources):
                released = self.released_files.get((path, batch), ())
                if released is None:
                    holds.perhaps.add(batch)
                elif released != state:
                    holds.of_all.add(batch)
        for table, (limit, severity) in limits.items():
            failing = build.find_failing(table, limit) if severity == "error" else ()
            for batch in failing:
                released = self.released.get((table, batch), set())
                if released and (build.is_shared(table) or build.state_of(table, batch)[0] == ()):
                    holds.perhaps.add(batch)
                elif build.state_of(table, batch) not in released:
                    (holds.of_overview if table == OVERVIEW else holds.of_all).add(batch)
        return holds
