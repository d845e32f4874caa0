"""What holds for every run, however it was started: Kedro's hooks."""

from bioreactor_lake.hooks.lineage import LineageHooks
from bioreactor_lake.hooks.run import DatasetStatsLeftOut, RunHooks, refused

__all__ = ["DatasetStatsLeftOut", "LineageHooks", "RunHooks", "refused"]
