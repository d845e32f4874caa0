"""Whether the scheduled run was done in time, for `kedro lake freshness --deadline`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bioreactor_lake.lake.deadline import read_deadline

# As the end of a run calls it when it is late, so that there is one incident of it.
_RUN = "the scheduled run"


@dataclass(frozen=True)
class Punctuality:
    """What became of the newest run that has to be done by now.

    Args:
        start: When it was to start.
        end: When it had to be done.
        late: By layer why it was not; empty if it was in time.
    """

    start: datetime
    end: datetime
    late: Mapping[str, str]

    def __str__(self) -> str:
        due = f"The run of {self.start:%Y-%m-%d %H:%M %Z} had to be done by {self.end:%H:%M %Z}"
        if not self.late:
            return f"{due}, and was."
        return f"{due}. " + "; ".join(f"{layer}: {why}" for layer, why in self.late.items()) + "."


def judge_punctuality(
    catalog: Any, layers: tuple[str, ...], given: Mapping[str, str | None], now: datetime
) -> Punctuality:
    """Whether every layer was brought up to date between the start of the newest run and its deadline.

    A run of a person in between counts: the layer is up to date. So does one that ends late, from then on.

    Args:
        catalog: The project's catalog.
        layers: The layers; empty for all.
        given: `start`, `deadline` and `zone`, where they are not those of the parameter `schedule`.
        now: The time.

    Raises:
        UsageError: A time or zone means nothing.
        LakeError: The warehouse cannot be read.
    """
    from kedro.framework.project import pipelines

    from bioreactor_lake.datasets.freshness import find_freshness
    from bioreactor_lake.errors import LockedError
    from bioreactor_lake.lake.freshness import LAYERS, LayerLimits

    schedule = dict(catalog.load("params:schedule")) | {name: value for name, value in given.items() if value}
    start, end = read_deadline(schedule["start"], schedule["deadline"], schedule["zone"]).newest(now)
    wanted = {layer: LayerLimits() for layer in LAYERS if not layers or layer in layers}
    try:
        found = find_freshness(catalog, pipelines, wanted, now)
    except LockedError:
        return Punctuality(start, end, {"all layers": "a run still holds the warehouse"})
    late = {
        layer.layer: "no run has brought it up to date"
        if layer.last_run_at is None
        else f"last brought up to date {layer.last_run_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        for layer in found
        if layer.last_run_at is None or layer.last_run_at < start
    }
    return Punctuality(start, end, late)


def tell_punctuality(found: Punctuality, env: str | None) -> list[str]:
    """Alert whoever should know, or tell them that it is over; what the user at the terminal should know of that."""
    from kedro.utils import find_kedro_project

    from bioreactor_lake.alerts.telling import tell_of

    late = [(_RUN, str(found))] if found.late else []
    return tell_of("lateness", late, find_kedro_project(Path.cwd()) or Path.cwd(), env=env)
