"""Nodes and datasets of ingestion."""

from kedro.pipeline import Node, Pipeline

from bioreactor_lake.pipelines.ingestion.extracts import read_batch_sheets, read_sample_results
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
            Node(
                read_batch_sheets,
                # By then it is known which extracts there are.
                ["landing_zone", "params:sources", "landed_files"],
                "batch_sheets",
                name="read_batch_sheets",
            ),
            Node(
                read_sample_results,
                ["landing_zone", "params:sources", "landed_files"],
                "sample_results",
                name="read_sample_results",
            ),
            Node(unite_raw_files, ["raw_files@parquet", "params:reading"], "raw_bioreactor", name="unite_raw_files"),
        ],
        tags="ingestion",
    )
