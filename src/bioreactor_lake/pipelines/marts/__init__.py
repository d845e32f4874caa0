"""The marts pipeline."""

from bioreactor_lake.pipelines.marts.pipeline import create_pipeline

__all__ = ["create_pipeline"]
