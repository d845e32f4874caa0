"""The pipelines of the project."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING

from kedro.pipeline import Node, Pipeline
from kedro.utils import KedroExperimentalWarning

from bioreactor_lake.lake.kept_expressions import keep_expressions
from bioreactor_lake.pipelines import curated, ingestion, marts, staging

if TYPE_CHECKING:
    from kedro.pipeline.preview_contract import TextPreview


def register_pipelines() -> dict[str, Pipeline]:
    """The four layers by name, and all of them in order as `__default__`."""
    layers = {
        "ingestion": ingestion.create_pipeline(),
        "staging": staging.create_pipeline(),
        "curated": curated.create_pipeline(),
        "marts": marts.create_pipeline(),
    }
    with warnings.catch_warnings():
        # Kedro calls node previews experimental, and would say so in every run.
        warnings.simplefilter("ignore", KedroExperimentalWarning)
        shown = {name: Pipeline([_with_preview(node) for node in layer.nodes]) for name, layer in layers.items()}
    return {**shown, "__default__": sum(shown.values(), Pipeline([]))}


def _with_preview(node: Node) -> Node:
    """The node with its columns and SQL for Kedro-Viz, added here because pipelines know nothing of datasets."""
    # Nodes are copied in this way by Kedro itself, when it adds a tag.
    return node._copy(func=keep_expressions(node.func), preview_fn=partial(_preview, node.name))


def _preview(name: str) -> TextPreview:
    from kedro.framework.project import pipelines
    from kedro_viz.data_access import data_access_manager

    from bioreactor_lake.datasets.node_previews import preview_node

    # The catalog of the environment and parameters that Kedro-Viz was started with.
    return preview_node(data_access_manager.catalog.get_catalog(), pipelines["__default__"], name)
