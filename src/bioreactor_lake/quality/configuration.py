"""Where suites, tags and equipment stand in Kedro's configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bioreactor_lake.errors import UsageError
from bioreactor_lake.quality.expectations import refuse
from bioreactor_lake.quality.suite import Suite, key_expectations, read_suites
from bioreactor_lake.quality.tags import Equipment, Tag, read_equipment, read_tags

_FOLDER = "suites"


@dataclass(frozen=True)
class QualitySettings:
    """What is expected of the lake.

    Args:
        suites: The suites by table, as the catalog names it.
        tags: The tags by name.
        equipment: The equipment by name.
    """

    suites: Mapping[str, Suite]
    tags: Mapping[str, Tag]
    equipment: Mapping[str, Equipment]

    @classmethod
    def load(cls, loader: Any, tables: Sequence[str] | None = None, others: Sequence[str] = ()) -> QualitySettings:
        """Read all of it.

        Args:
            loader: Kedro's config loader.
            tables: The names of tables that can have a suite; None where they are not known.
            others: Names that may be compared with besides.

        Raises:
            UsageError: Something in it is not understood; the message says what and where.
        """
        return cls(
            read_suites(load_suites(loader), tables, others),
            read_tags(_load(loader, "tags")),
            read_equipment(_load(loader, "equipment")),
        )


def load_suites(loader: Any) -> dict[str, Any]:
    """The suites as configuration says them, by table: one file each in `suites/`, called after its table.

    An environment says only what differs in it: single severities or arguments by the id of their expectation, or
    null for one that is not asked for there. Lists, as Great Expectations exports them, are merged in the same way.

    Raises:
        UsageError: A file cannot be read, or an environment changes an expectation that there is not.
    """
    environments = dict.fromkeys([loader.base_env, loader.env or loader.default_run_env])
    found: dict[str, Any] = {}
    for environment in environments:
        for table, name in _files(loader, environment).items():
            content = _read(loader, environment, name)
            found[table] = merge_suite(found[table], content, table) if table in found else content
    return found


def merge_suite(base: Mapping[str, Any], changes: Mapping[str, Any], table: str) -> dict[str, Any]:
    """A suite as an environment changes it.

    Raises:
        UsageError: It changes an expectation that there is not.
    """
    where = f"conf/*/suites/{table}"
    merged = {**base, **changes}
    expectations = dict(key_expectations(base.get("expectations", {}), where))
    for id_, change in key_expectations(changes.get("expectations", {}), where).items():
        if id_ not in expectations and (change is None or "type" not in change):
            refuse(f"{where} changes the expectation {id_}, which there is not.", id_, expectations)
        expectations[id_] = _merge(expectations.get(id_), change)
    return {**merged, "expectations": expectations}


def _merge(base: Any, change: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        return {**base, **{key: _merge(base.get(key), value) for key, value in change.items()}}
    return change


def _files(loader: Any, environment: str) -> dict[str, str]:
    """Table to file in one environment. Kedro itself forgets which file a key came from."""
    folder = PurePosixPath(loader._get_conf_env_path(environment)) / _FOLDER
    found: dict[str, str] = {}
    for path in sorted(map(PurePosixPath, loader._fs.glob(f"{folder}/*"))):
        if path.suffix not in (".yml", ".yaml", ".json"):
            continue
        if path.stem in found:
            raise UsageError(
                f"{environment}/{_FOLDER} has two suites of {path.stem}: {found[path.stem]} and {path.name}.",
                next_step="Keep one of them.",
            )
        found[path.stem] = path.name
    return found


def _read(loader: Any, environment: str, name: str) -> Mapping[str, Any]:
    folder = loader._get_conf_env_path(environment)
    try:
        content = loader.load_and_merge_dir_config(folder, [f"{_FOLDER}/{name}"], _FOLDER, set())
    except Exception as error:  # YAML's, OmegaConf's and Kedro's have nothing in common
        raise UsageError(
            f"{environment}/{_FOLDER}/{name} cannot be read: {error}", next_step="Correct its YAML or JSON."
        ) from error
    return dict(content)


def _load(loader: Any, key: str) -> dict[str, Any]:
    from kedro.config import MissingConfigException

    try:
        return dict(loader[key])
    except (KeyError, MissingConfigException):
        return {}
