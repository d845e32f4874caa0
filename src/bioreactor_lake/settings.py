"""Kedro's settings for the project."""

import os

from bioreactor_lake.hooks import RunHooks

HOOKS = (RunHooks(),)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "custom_resolvers": {
        # An environment variable, or the default where it is unset or empty.
        "env": lambda name, default="": os.environ.get(name) or default,
    },
}
