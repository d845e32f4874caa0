"""What holds for every run, however it was started: Kedro's hooks."""

from bioreactor_lake.hooks.alerts import AlertHooks
from bioreactor_lake.hooks.checkpoints import CheckpointHooks
from bioreactor_lake.hooks.history import HistoryHooks
from bioreactor_lake.hooks.lineage import LineageHooks
from bioreactor_lake.hooks.logs import LogHooks
from bioreactor_lake.hooks.quality_results import QualityResultsHooks
from bioreactor_lake.hooks.run import RunHooks, refused
from bioreactor_lake.hooks.statistics import TableStatistics

__all__ = [
    "AlertHooks",
    "CheckpointHooks",
    "HistoryHooks",
    "LineageHooks",
    "LogHooks",
    "QualityResultsHooks",
    "RunHooks",
    "TableStatistics",
    "refused",
]
