"""The curated pipeline."""

from bioreactor_lake.pipelines.curated.pipeline import create_pipeline

__all__ = ["create_pipeline"]
