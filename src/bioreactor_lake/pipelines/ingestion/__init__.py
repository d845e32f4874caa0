"""The ingestion pipeline."""

from bioreactor_lake.pipelines.ingestion.pipeline import create_pipeline

__all__ = ["create_pipeline"]
