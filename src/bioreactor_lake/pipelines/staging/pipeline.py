"""Nodes and datasets of staging."""

from kedro.pipeline import Node, Pipeline

from bioreactor_lake.pipelines.own_nodes import find_nodes
from bioreactor_lake.pipelines.staging import sources
from bioreactor_lake.pipelines.staging.nodes import set_aside_rejects, stage_readings


def create_pipeline() -> Pipeline:
    """Raw rows to readings and rejects."""
    return Pipeline(
        [
            Node(stage_readings, "raw_bioreactor", "stg_bioreactor", name="stage_readings"),
            Node(
                set_aside_rejects,
                ["raw_bioreactor", "raw_files@manifest"],
                "rejected_readings",
                name="set_aside_rejects",
            ),
            *find_nodes(sources),
        ],
        tags="staging",
    )
