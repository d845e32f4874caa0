"""Kedro's configuration, read once by a process for as long as its files are as they were."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from kedro.config import OmegaConfigLoader
from omegaconf import ListConfig, OmegaConf

from bioreactor_lake.lake import resident

Read = TypeVar("Read")

# Of the configurations that a process had, the last ones: a notebook or a test has a handful.
_MOST = 16
_read: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()


class LakeConfigLoader(OmegaConfigLoader):
    """Kedro's config loader.

    To read YAML and resolve it takes as long as to publish a batch. What the files say is therefore kept for the next
    run of the process, under the size, times and inode of every file, the environment variables and what the run was
    given. A change of any is followed by the next run.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In the catalog, ${conf_folders:x} are the folders x of the environments, the one that counts last.
        OmegaConf.register_new_resolver("conf_folders", self._folders, replace=True)

    def _folders(self, name: str) -> ListConfig:
        environments = dict.fromkeys((self.base_env, self.env or self.default_run_env))
        return ListConfig([str(Path(self.conf_source, one, name)) for one in environments])

    def __getitem__(self, key: str) -> dict[str, Any]:
        """A part of the configuration, such as `catalog`."""
        # Of an archive or a bucket nothing says that it has changed.
        if key in self or not Path(self.conf_source).is_dir():
            return super().__getitem__(key)
        parts = _read.setdefault(self._state, {})
        _read.move_to_end(self._state)
        while len(_read) > _MOST:
            _read.popitem(last=False)
        if key not in parts:
            parts[key] = super().__getitem__(key)
        return deepcopy(parts[key])

    def kept(self, name: str, read: Callable[[], Read]) -> Read:
        """What is read of the configuration, or was while it was the same.

        Args:
            name: What it is.
            read: Reads it; the result must not be changed.
        """
        return resident.kept(("configuration", name, self._state), read)

    def _merge_configs(self, config: dict[str, Any], env_config: dict[str, Any], key: str, env_path: str) -> Any:
        # OmegaConf takes as long to add nothing as to add much.
        return super()._merge_configs(config, env_config, key, env_path) if env_config else config

    @cached_property
    def _state(self) -> tuple[Any, ...]:
        """All that the configuration depends on."""
        files = []
        for environment in dict.fromkeys((self.base_env, self.env or self.default_run_env)):
            for folder, _, names in os.walk(Path(self.conf_source, environment)):
                for name in names:
                    path = Path(folder, name)
                    stat = path.stat()
                    files.append((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
        given = (self.conf_source, self.env, repr(self.runtime_params))
        return (*given, tuple(sorted(files)), tuple(sorted(os.environ.items())))
