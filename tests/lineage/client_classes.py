"""Events held against the classes of the OpenLineage client: generated from the spec, and always at hand."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import attr
from openlineage.client import event_v2
from openlineage.client.generated import base

# Kind of facet → key → class; the modules of openlineage.client.facet_v2 do not say their keys.
_CLASSES = {
    base.RunFacet: {
        "environmentVariables": "environment_variables_run.EnvironmentVariablesRunFacet",
        "errorMessage": "error_message_run.ErrorMessageRunFacet",
        "executionParameters": "execution_parameters_run.ExecutionParametersRunFacet",
        "externalQuery": "external_query_run.ExternalQueryRunFacet",
        "extractionError": "extraction_error_run.ExtractionErrorRunFacet",
        "jobDependencies": "job_dependencies_run.JobDependenciesRunFacet",
        "nominalTime": "nominal_time_run.NominalTimeRunFacet",
        "parent": "parent_run.ParentRunFacet",
        "processing_engine": "processing_engine_run.ProcessingEngineRunFacet",
        "tags": "tags_run.TagsRunFacet",
        "test": "test_run.TestRunFacet",
    },
    base.JobFacet: {
        "documentation": "documentation_job.DocumentationJobFacet",
        "jobType": "job_type_job.JobTypeJobFacet",
        "lineage": "lineage.LineageJobFacet",
        "ownership": "ownership_job.OwnershipJobFacet",
        "sourceCode": "source_code_job.SourceCodeJobFacet",
        "sourceCodeLocation": "source_code_location_job.SourceCodeLocationJobFacet",
        "sql": "sql_job.SQLJobFacet",
        "tags": "tags_job.TagsJobFacet",
    },
    base.DatasetFacet: {
        "catalog": "catalog_dataset.CatalogDatasetFacet",
        "columnLineage": "column_lineage_dataset.ColumnLineageDatasetFacet",
        "dataQualityMetrics": "data_quality_metrics_dataset.DataQualityMetricsDatasetFacet",
        "dataSource": "datasource_dataset.DatasourceDatasetFacet",
        "datasetType": "dataset_type_dataset.DatasetTypeDatasetFacet",
        "documentation": "documentation_dataset.DocumentationDatasetFacet",
        "hierarchy": "hierarchy_dataset.HierarchyDatasetFacet",
        "lifecycleStateChange": "lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet",
        "lineage": "lineage.LineageDatasetFacet",
        "ownership": "ownership_dataset.OwnershipDatasetFacet",
        "schema": "schema_dataset.SchemaDatasetFacet",
        "storage": "storage_dataset.StorageDatasetFacet",
        "symlinks": "symlinks_dataset.SymlinksDatasetFacet",
        "tags": "tags_dataset.TagsDatasetFacet",
        "version": "dataset_version_dataset.DatasetVersionDatasetFacet",
    },
    base.InputDatasetFacet: {
        "dataQualityAssertions": "data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet",
        "dataQualityMetrics": "data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet",
        "inputStatistics": "input_statistics_input_dataset.InputStatisticsInputDatasetFacet",
        "subset": "base_subset_dataset.InputSubsetInputDatasetFacet",
    },
    base.OutputDatasetFacet: {
        "outputStatistics": "output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet",
        "subset": "base_subset_dataset.OutputSubsetOutputDatasetFacet",
    },
}


def find_class_errors(event: Any) -> list[str]:
    """What in a run event is not as the client's classes have it.

    Every facet is one that the spec knows by its key, of the version that the client knows, and has all required fields
    and no unknown ones, of the right types, down to the last part.
    """
    return list(_of_class(event_v2.RunEvent, event, "event"))


def _of_class(cls: Any, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {value!r:.80} is no object"
        return
    hints = _hints(cls)
    fields = {one.name: one for one in attr.fields(cls)}
    for name in value.keys() - fields.keys():
        yield f"{where}.{name}: unknown to {cls.__name__}"
    is_versioned = issubclass(cls, base.BaseFacet | base.BaseEvent)
    for name, one in fields.items():
        if name not in value:
            # The client fills these in itself, so that its classes do not require them.
            if one.default is attr.NOTHING or name in ("_producer", "_schemaURL", "producer", "schemaURL"):
                yield f"{where}.{name}: missing"
            continue
        wrong = list(_of_type(hints[name], value[name], f"{where}.{name}"))
        yield from wrong
        if not wrong and one.validator is not None:
            try:
                one.validator(types.SimpleNamespace(**{name: value.get(name) for name in fields}), one, value[name])
            except ValueError as error:
                yield f"{where}.{name}: {error}"
    if is_versioned:
        key = "_schemaURL" if issubclass(cls, base.BaseFacet) else "schemaURL"
        if key in value and value[key] != cls._get_schema():
            yield f"{where}.{key}: {value[key]} is not {cls._get_schema()}"


def _of_type(hint: Any, value: Any, where: str) -> Iterator[str]:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return
    if origin in (Union, types.UnionType):
        # The client leaves out what is None; a null is no text or list to the spec.
        tried = [list(_of_type(part, value, where)) for part in parts if part is not type(None)]
        yield from min(tried, key=len)
    elif origin is Literal:
        if value not in parts:
            yield f"{where}: {value!r:.80} is none of {parts}"
    elif origin is list:
        if isinstance(value, list):
            for number, one in enumerate(value):
                yield from _of_type(parts[0], one, f"{where}[{number}]")
        else:
            yield f"{where}: {value!r:.80} is no list"
    elif origin is dict:
        if isinstance(value, dict):
            for key, one in value.items():
                yield from _of_entry(parts[1], key, one, f"{where}.{key}")
        else:
            yield f"{where}: {value!r:.80} is no object"
    elif attr.has(hint):
        yield from _of_class(hint, value, where)
    elif issubclass(hint, Enum):
        if value not in [one.value for one in hint]:
            yield f"{where}: {value!r:.80} is no {hint.__name__}"
    elif not _is_a(hint, value):
        yield f"{where}: {value!r:.80} is no {hint.__name__}"


def _of_entry(hint: Any, key: str, value: Any, where: str) -> Iterator[str]:
    known = _CLASSES.get(hint)
    if known is None:
        yield from _of_type(hint, value, where)
    elif key not in known:
        yield f"{where}: no {hint.__name__} of the spec"
    else:
        yield from _of_class(_load(known[key]), value, where)


def _is_a(kind: type, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


@cache
def _load(path: str) -> type:
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(f"openlineage.client.generated.{module}"), name)
    return found


@cache
def _hints(cls: type) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(cls).items() if get_origin(hint) is not ClassVar}
