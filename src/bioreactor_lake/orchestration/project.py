"""What an orchestrator has to know of the project: its tables, what each is made of, and where raw files lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.framework.project import pipelines, settings
from kedro.framework.startup import bootstrap_project

from bioreactor_lake.configuration import LakeConfigLoader
from bioreactor_lake.landing.places import open_landing
from bioreactor_lake.quality.configuration import load_suites
from bioreactor_lake.quality.suite import read_suites
from bioreactor_lake.raw_store import open_store

FOLDER = "raw_folder"


@dataclass(frozen=True)
class Check:
    """An expectation of a table.

    Args:
        expectation: Its id.
        kind: Its type, such as `expect_column_values_to_not_be_null`.
        severity: `warn`, `error` or `fatal`.
    """

    expectation: str
    kind: str
    severity: str


@dataclass(frozen=True)
class Table:
    """A table of the catalog that a node makes.

    Args:
        name: Schema and name.
        node: The node.
        layer: The pipeline that the node belongs to.
        description: What the catalog says of it.
        sources: The tables that it is made of, by schema and name; `FOLDER` for the raw files.
        checks: What its suite expects.
    """

    name: str
    node: str
    layer: str
    description: str
    sources: tuple[str, ...]
    checks: tuple[Check, ...]


class Project:
    """The project, read from its code and configuration; nothing is opened.

    Args:
        root: Its folder.
    """

    def __init__(self, root: Path) -> None:
        bootstrap_project(root)
        self.root = root
        # The project's own: its catalog names resolvers that no other has.
        self._loader = LakeConfigLoader(
            str(root / settings.CONF_SOURCE), env=os.environ.get("KEDRO_ENV"), **settings.CONFIG_LOADER_ARGS
        )
        self._catalog: Mapping[str, Any] = self._loader["catalog"]

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.root / str(self._loader["globals"]["warehouse"]["filepath"])

    @property
    def schedule(self) -> Mapping[str, str]:
        """`start`, `deadline` and `zone` of the nightly run."""
        schedule: Mapping[str, str] = self._loader["parameters"]["schedule"]
        return schedule

    def tables(self) -> list[Table]:
        """Every table that a node makes, in the order of the pipeline.

        Raises:
            UsageError: A suite is not understood.
        """
        suites = read_suites(load_suites(self._loader))
        layers = {node.name: name for name in pipelines for node in pipelines[name].nodes if name != "__default__"}
        found = []
        for node in pipelines["__default__"].nodes:
            for output in node.outputs:
                name = output.partition("@")[0]
                suite = suites.get(name)
                checks = tuple(Check(one.id, one.type, one.severity) for one in suite.expectations) if suite else ()
                sources = dict.fromkeys(self._table(one) for one in node.inputs if one in self._catalog)
                sources.pop(self._table(output), None)
                found.append(
                    Table(
                        self._table(output),
                        node.name,
                        layers.get(node.name, ""),
                        self._catalog[output].get("description", ""),
                        tuple(sources),
                        checks,
                    )
                )
        return found

    def list_raw_files(self) -> str:
        """A digest of the raw and landed files: another as soon as one comes, changes or goes. None is read.

        Empty if there is none.

        Raises:
            LakeError: They cannot be listed.
        """
        entry = self._catalog[FOLDER]
        raw = dict(entry["warehouse"]["raw"])
        raw["credentials"] = self._loader["credentials"].get(raw.get("credentials") or "", {})
        if "://" not in raw["path"]:
            raw["path"] = str(self.root / raw["path"])
        files = open_store(raw).find_files(entry.get("ignore", ()))  # type: ignore[arg-type]
        landing = str(self._loader["globals"]["landing"]["path"])
        landed = open_landing(landing if "://" in landing else str(self.root / landing), raw).find_files()
        keys = [*((file.path, file.key) for file in files), *((file.path, file.key) for file in landed)]
        listed = "\n".join(f"{path}\t{key}" for path, key in keys)
        return hashlib.sha256(listed.encode()).hexdigest() if listed else ""

    def _table(self, dataset: str) -> str:
        entry = self._catalog[dataset]
        schema = entry.get("database") or entry.get("schema")
        return f"{schema}.{entry['table_name']}" if schema else dataset
