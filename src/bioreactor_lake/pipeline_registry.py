"""The pipelines of the project."""

from kedro.pipeline import Pipeline

from bioreactor_lake.pipelines import curated, ingestion, marts, staging


def register_pipelines() -> dict[str, Pipeline]:
    """The four layers by name, and all of them in order as `__default__`."""
    layers = {
        "ingestion": ingestion.create_pipeline(),
        "staging": staging.create_pipeline(),
        "curated": curated.create_pipeline(),
        "marts": marts.create_pipeline(),
    }
    return {**layers, "__default__": sum(layers.values(), Pipeline([]))}
