"""A lake whose runs tell of their lineage, into a file of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.increments.lake import Lake, readings

Event = dict[str, Any]


class LakeWithLineage(Lake):
    """As `Lake`; `new_events` gives those that came since it was last asked."""

    def __init__(self, folder: Path, server: str) -> None:
        super().__init__(folder, server)
        self.file = folder / "lineage" / "events.jsonl"
        self._seen = 0

    @property
    def variables(self) -> dict[str, str]:
        return {"BIOREACTOR_LAKE_LINEAGE_FILE": str(self.file), "OPENLINEAGE_DISABLED": "false"}

    @contextmanager
    def telling(self, **variables: str) -> Iterator[None]:
        """Runs in this process tell of their lineage."""
        mine = self.variables | variables
        before = {name: os.environ.get(name) for name in mine}
        os.environ |= mine
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)

    def all_events(self) -> list[Event]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def new_events(self) -> list[Event]:
        events = self.all_events()
        new, self._seen = events[self._seen :], len(events)
        return new

    def put_batches(self, *numbers: int) -> None:
        for number in numbers:
            self.put(f"B-{number:04}.parquet", readings(f"B-{number:04}", number))

    @property
    def raw_name(self) -> tuple[str, str]:
        return "file", str(self.raw)

    def table_name(self, table: str) -> tuple[str, str]:
        return f"duckdb://{self.warehouse}", f"lake.{table}"


def story(events: list[Event]) -> list[tuple[str, str]]:
    """Kind and job of each event."""
    return [(event["eventType"], event["job"]["name"]) for event in events]


def last_of(events: list[Event], job: str) -> Event:
    return [event for event in events if event["job"]["name"] == job][-1]


def facets_of(event: Event, side: str, table: str) -> dict[str, Any]:
    (found,) = [one for one in event[side] if one["name"].endswith(table)]
    return found["facets"] | found.get("inputFacets", {}) | found.get("outputFacets", {})
