"""Kedro's settings for the project."""

from bioreactor_lake.catalog import LakeCatalog
from bioreactor_lake.configuration import LakeConfigLoader
from bioreactor_lake.environment import read_secret, read_variable
from bioreactor_lake.hooks import (
    AlertHooks,
    CheckpointHooks,
    HistoryHooks,
    LineageHooks,
    LogHooks,
    QualityResultsHooks,
    RunHooks,
    TableStatistics,
)

HOOKS = (
    RunHooks(),
    CheckpointHooks(),
    LineageHooks(),
    HistoryHooks(),
    QualityResultsHooks(),
    TableStatistics(),
    AlertHooks(),
    LogHooks(),
)
DATA_CATALOG_CLASS = LakeCatalog
CONFIG_LOADER_CLASS = LakeConfigLoader

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment says only what differs in it, however deep.
    "merge_strategy": dict.fromkeys(
        ("globals", "parameters", "catalog", "openlineage", "tags", "equipment", "alerts", "airbyte"), "soft"
    ),
    # The suites are one file per table, and are found by their names.
    "config_patterns": {
        "openlineage": ["openlineage*", "openlineage*/**", "**/openlineage*"],
        "alerts": ["alerts*", "alerts*/**", "**/alerts*"],
        "tags": ["tags*"],
        "airbyte": ["airbyte*"],
        "equipment": ["equipment*"],
    },
    "custom_resolvers": {
        # An environment variable, or the default where it is unset or empty.
        "env": read_variable,
        # A variable or the file that <name>_FILE names; read when credentials are.
        "secret": read_secret,
    },
}
