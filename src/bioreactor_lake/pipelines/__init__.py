"""The four pipelines, one per layer."""

from bioreactor_lake.pipelines import curated, ingestion, marts, staging

__all__ = ["curated", "ingestion", "marts", "staging"]
