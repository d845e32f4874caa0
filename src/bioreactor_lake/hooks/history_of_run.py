"""What becomes of one run, as its history keeps it."""

from __future__ import annotations

import json
import os
import platform
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kedro
from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from bioreactor_lake import __version__
from bioreactor_lake.datasets.attempts import explain, is_interrupted
from bioreactor_lake.datasets.history import History
from bioreactor_lake.datasets.history_mart import find_published, publish_history
from bioreactor_lake.environment import find_user
from bioreactor_lake.errors import NothingToIngest, UsageError, find_lake_error
from bioreactor_lake.hooks.homes import home_of
from bioreactor_lake.lake.history import (
    COMPLETED,
    FAILED,
    HELD,
    INTERRUPTED,
    KILLED,
    NOTHING_TO_DO,
    NodeRun,
    RunRecord,
    describe_killed,
)
from bioreactor_lake.lake.libraries import library_versions
from bioreactor_lake.lake.runs import Run
from bioreactor_lake.lineage.redaction import find_secrets, redact_nested
from bioreactor_lake.lineage.source_code import find_checkout
from bioreactor_lake.lineage.started_by import find_starter

_ASKED = {
    "pipelines": "pipeline_names",
    "nodes": "node_names",
    "from_nodes": "from_nodes",
    "to_nodes": "to_nodes",
    "from_inputs": "from_inputs",
    "to_outputs": "to_outputs",
    "tags": "tags",
    "namespaces": "namespaces",
    "parameters": "runtime_params",
    "environment": "env",
}


class HistoryOfRun:
    """Follows the nodes of one run.

    Args:
        run: The run.
        record: What is known of it from the start.
        pipeline: Its nodes.
        catalog: Its catalog.
        credentials: Kedro's credentials, which must not be told.
    """

    def __init__(
        self, run: Run, record: RunRecord, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], credentials: Any
    ) -> None:
        self._run, self._record, self._catalog, self._credentials = run, record, catalog, credentials
        self._asked = "+".join(record.asked.get("pipelines", ["__default__"]))
        self._node: Node | None = None
        self._unsaved: set[str] = set()
        self._written_before = 0
        configs = (getattr(catalog.get(name), "warehouse_config", None) for name in sorted(pipeline.datasets()))
        config = next((config for config in configs if config is not None), None)
        self._history = History(config, record) if config is not None else None

    def begin_node(self, node: Node) -> None:
        """A node is about to load its inputs."""
        if self._node is node:
            return
        self._node, self._unsaved = node, set(node.outputs)
        self._written_before = len(self._run.writes)
        tables = [getattr(self._catalog.get(name), "qualified_name", name) for name in node.outputs]
        home = home_of(node, self._asked)
        self._record.nodes.append(NodeRun(node.name, home, ", ".join(tables), datetime.now(UTC)))
        if self._history is not None:
            self._history.keep()

    def complete_node(self, node: Node, saved: str | None) -> None:
        """A node has returned, or one of its outputs is saved.

        Args:
            node: The node.
            saved: The output.
        """
        self._unsaved.discard(saved or "")
        if self._node is node and not self._unsaved:
            # The next node keeps it, in a moment.
            self._record.nodes[-1].complete(self._run.writes[self._written_before :], datetime.now(UTC))

    def end(self, error: BaseException | None) -> None:
        """The run has ended: well, with an error, or because a signal came."""
        if self._history is None:
            return
        if isinstance(find_lake_error(error), UsageError) and not self._record.nodes:
            self._history.forget()
            return
        status, sentence = HELD if self._run.held else COMPLETED, None
        if is_interrupted(error):
            status = INTERRUPTED
        elif error is not None:
            idle = isinstance(find_lake_error(error), NothingToIngest)
            status = NOTHING_TO_DO if idle else FAILED
            sentence = " ".join(explain(error).split())
            sentence = redact_nested(sentence, find_secrets(os.environ, self._credentials))
        self._record.end(status, datetime.now(UTC), sentence)
        self._run.killed = [describe_killed(one) for one in self._history.end() if one.status == KILLED]
        # A run that did not come to Postgres does not connect for this alone.
        if (mart := find_published(self._run)) is not None:
            publish_history(mart, self._record)


def describe_run(
    run: Run,
    run_params: Mapping[str, Any],
    parameters: Mapping[str, Any],
    context: KedroContext | None,
    credentials: Any,
) -> RunRecord:
    """What is known of a run when it begins, without secrets.

    Args:
        run: The run.
        run_params: What Kedro was asked for.
        parameters: All parameters that are in force.
        context: Kedro's context.
        credentials: Kedro's credentials.
    """
    secrets = find_secrets(os.environ, credentials)
    asked = {name: run_params[key] for name, key in _ASKED.items() if run_params.get(key)}
    if run.batches:
        asked["batches"] = list(run.batches)
    checkout = find_checkout(
        Path(context.project_path if context is not None else "."), commit=os.environ.get("BIOREACTOR_LAKE_COMMIT", "")
    )
    user, task = find_user(), find_starter(os.environ).parent
    record = RunRecord(
        run.run_id,
        run.started_at,
        asked=asked,
        versions={
            "bioreactor_lake": __version__,
            **({"commit": checkout.commit} if checkout.commit else {}),
            "python": platform.python_version(),
            "kedro": kedro.__version__,
            **json.loads(library_versions()),
        },
        parameters=dict(sorted(parameters.items())),  # Kedro reads the files in any order
        host=socket.gethostname(),
        user=user,
        started_by=user if task is None else f"{task.namespace}/{task.job}",
    )
    for name in ("asked", "versions", "parameters", "host", "user", "started_by"):
        setattr(record, name, redact_nested(getattr(record, name), secrets))
    return record
