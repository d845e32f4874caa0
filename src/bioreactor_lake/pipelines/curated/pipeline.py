"""Nodes and datasets of the curated layer."""

from kedro.pipeline import Node, Pipeline

from bioreactor_lake.pipelines.curated.nodes import (
    describe_batches,
    downsample_readings,
    list_sample_results,
    summarise_tags,
)


def create_pipeline() -> Pipeline:
    """Readings to the downsampled series, the batches and the statistics, results of samples to theirs."""
    return Pipeline(
        [
            Node(downsample_readings, "stg_bioreactor", "int_bioreactor_downsample_5m", name="downsample_readings"),
            Node(describe_batches, ["stg_bioreactor", "batch_sheets"], "dim_batch", name="describe_batches"),
            Node(summarise_tags, "stg_bioreactor", "fact_bioreactor_batch_stats", name="summarise_tags"),
            Node(list_sample_results, "sample_results", "fact_sample_result", name="list_sample_results"),
        ],
        tags="curated",
    )
