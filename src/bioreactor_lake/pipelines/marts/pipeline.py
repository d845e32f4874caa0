"""Nodes and datasets of the marts."""

from kedro.pipeline import Node, Pipeline

from bioreactor_lake.pipelines.marts import own
from bioreactor_lake.pipelines.marts.nodes import build_overview, build_timeline
from bioreactor_lake.pipelines.own_nodes import find_nodes


def create_pipeline() -> Pipeline:
    """Curated tables to the marts."""
    return Pipeline(
        [
            Node(
                build_overview,
                ["dim_batch", "fact_bioreactor_batch_stats", "params:overview"],
                "mart_bioreactor_overview",
                name="build_overview",
            ),
            Node(
                build_timeline,
                ["int_bioreactor_downsample_5m", "dim_batch", "params:timeline"],
                "mart_bioreactor_timeline",
                name="build_timeline",
            ),
            *find_nodes(own),
        ],
        tags=["marts", "mart"],
    )
