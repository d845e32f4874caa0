"""Alerts: what is amiss is told once to whoever should know, and so is its end.

A run gathers what it finds (`Run.observe`), and the run command tells it at its end (`cli/alerting.py`). Other commands
call `tell_of` in `alerts.telling`. Nothing here is imported by a run that has nothing to tell.
"""

from pathlib import Path

VARIABLE = "BIOREACTOR_LAKE_ALERTS"
"""The environment variable that may hold addresses, separated by blanks."""


def state_file(warehouse: Path) -> Path:
    """Where a lake keeps what was told of it: beside the warehouse, which may be what fails."""
    return warehouse.with_name("alerts.sqlite")
