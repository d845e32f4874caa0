"""Nodes and datasets of ingestion."""

from kedro.pipeline import Node, Pipeline

from bioreactor_lake.pipelines.ingestion.nodes import inspect_raw_files, read_landed_files, unite_raw_files


def create_pipeline() -> Pipeline:
    """Landed files to raw files to manifest to one raw table."""
    return Pipeline(
        [
            Node(read_landed_files, ["landing_zone", "profiles"], "landed_files", name="read_landed_files"),
            Node(
                inspect_raw_files,
                # What has landed is a raw file by the time that these are listed.
                ["raw_folder", "params:reading", "landed_files"],
                "raw_files@manifest",
                name="inspect_raw_files",
            ),
            Node(unite_raw_files, ["raw_files@parquet", "params:reading"], "raw_bioreactor", name="unite_raw_files"),
        ],
        tags="ingestion",
    )
