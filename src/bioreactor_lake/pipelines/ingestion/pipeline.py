"""Nodes and datasets of ingestion."""

from kedro.pipeline import Node, Pipeline

from bioreactor_lake.pipelines.ingestion.nodes import inspect_raw_files, unite_raw_files


def create_pipeline() -> Pipeline:
    """Raw folder to manifest to one raw table."""
    return Pipeline(
        [
            Node(inspect_raw_files, ["raw_folder", "params:reading"], "raw_files@manifest", name="inspect_raw_files"),
            Node(unite_raw_files, ["raw_files@parquet", "params:reading"], "raw_bioreactor", name="unite_raw_files"),
        ],
        tags="ingestion",
    )
