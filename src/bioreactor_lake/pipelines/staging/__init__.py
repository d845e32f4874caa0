"""The staging pipeline."""

from bioreactor_lake.pipelines.staging.pipeline import create_pipeline

__all__ = ["create_pipeline"]
