"""OpenLineage facets as plain data. Each names the version of the schema that it was written for.

The client has classes for them; to import it takes as long as a run that finds nothing to do spends on everything
else, so a run writes the data itself, and the tests hold it against the classes and the official schemas.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bioreactor_lake import __version__
from bioreactor_lake.lake.runs import CheckReport, ReadReport
from bioreactor_lake.lineage.naming import DatasetName
from bioreactor_lake.lineage.origins import ROWS, ColumnOrigin, Subtype, TableLineage

Facet = dict[str, Any]
Facets = dict[str, Facet]

PRODUCER = f"urn:bioreactor-lake:{__version__}"

# Class and version of each facet, by its key.
_SCHEMAS = {
    "dataQualityAssertions": ("DataQualityAssertionsDatasetFacet", "1-1-0"),
    "columnLineage": ("ColumnLineageDatasetFacet", "1-2-0"),
    "datasetType": ("DatasetTypeDatasetFacet", "1-0-1"),
    "lifecycleStateChange": ("LifecycleStateChangeDatasetFacet", "1-0-1"),
    "schema": ("SchemaDatasetFacet", "1-2-0"),
    "symlinks": ("SymlinksDatasetFacet", "1-0-1"),
    "version": ("DatasetVersionDatasetFacet", "1-0-1"),
    "inputStatistics": ("InputStatisticsInputDatasetFacet", "1-0-0"),
    "outputStatistics": ("OutputStatisticsOutputDatasetFacet", "1-0-2"),
    "jobType": ("JobTypeJobFacet", "2-0-4"),
    "sourceCodeLocation": ("SourceCodeLocationJobFacet", "1-1-0"),
    "sql": ("SQLJobFacet", "1-1-0"),
    "errorMessage": ("ErrorMessageRunFacet", "1-0-1"),
    "nominalTime": ("NominalTimeRunFacet", "1-0-1"),
    "parent": ("ParentRunFacet", "1-2-0"),
    "processing_engine": ("ProcessingEngineRunFacet", "1-1-1"),
}
_SCHEMAS_OF_DATASETS = {
    "documentation": ("DocumentationDatasetFacet", "1-1-0"),
    "ownership": ("OwnershipDatasetFacet", "1-0-1"),
    "tags": ("TagsDatasetFacet", "1-0-0"),
}
_SCHEMAS_OF_JOBS = {
    "documentation": ("DocumentationJobFacet", "1-1-0"),
    "ownership": ("OwnershipJobFacet", "1-0-1"),
    "tags": ("TagsJobFacet", "1-0-0"),
}


def facet(key: str, content: Mapping[str, Any], *, of_job: bool = False) -> Facets:
    """A facet under its key, without what is None.

    Args:
        key: OpenLineage's key of the facet.
        content: What it says.
        of_job: Of the facets that both jobs and datasets may have, the job's.
    """
    kind, version = {**_SCHEMAS, **(_SCHEMAS_OF_JOBS if of_job else _SCHEMAS_OF_DATASETS)}[key]
    schema = f"https://openlineage.io/spec/facets/{version}/{kind}.json#/$defs/{kind}"
    said = {name: value for name, value in content.items() if value is not None}
    return {key: {"_producer": PRODUCER, "_schemaURL": schema, **said}}


def schema_facet(columns: Mapping[str, str], descriptions: Mapping[str, str]) -> Facets:
    """The columns of a dataset, in order.

    Args:
        columns: Name to type, as the dataset's own system spells it.
        descriptions: Name to description, for some.
    """
    fields = []
    for name, kind in columns.items():
        said = {"description": descriptions[name]} if name in descriptions else {}
        fields.append({"name": name, "type": kind, **said})
    return facet("schema", {"fields": fields})


def column_lineage_facet(
    lineage: TableLineage, names: Mapping[str, DatasetName], *, rows_with_each_column: bool = False
) -> Facets:
    """Where the columns of a dataset come from, and what decides about its rows; no facet where nothing does.

    Args:
        lineage: As traced from the expression.
        names: The datasets by the names that the expression has for them.
        rows_with_each_column: Whether what decides about the rows is said with every column, for servers that do not
            read it where it belongs, which is with the dataset.
    """
    of_rows = [one for one in lineage.rows if not one.is_direct]
    fields = {}
    for column, made in lineage.columns.items():
        origins = [*made.origins, *(of_rows if rows_with_each_column else ())]
        inputs = _input_fields(origins, names)
        if inputs:
            direct = [one.subtype for one in made.origins if one.is_direct]
            fields[column] = {
                "inputFields": inputs,
                # Deprecated, and yet the only form that Marquez shows.
                "transformationDescription": made.expression,
                "transformationType": str(max(direct, key=list(Subtype).index, default=Subtype.TRANSFORMATION)),
            }
    deciding = _input_fields(of_rows, names)
    return facet("columnLineage", {"fields": fields, "dataset": deciding}) if fields or deciding else {}


def _input_fields(origins: Iterable[ColumnOrigin], names: Mapping[str, DatasetName]) -> list[dict[str, Any]]:
    """One entry for each input column, with all the parts that it plays."""
    parts: dict[tuple[str, str, str], dict[tuple[str, str, str], None]] = defaultdict(dict)
    for one in origins:
        # The rows of a table are none of its columns.
        if one.column != ROWS and one.table in names:
            name = names[one.table]
            parts[name.namespace, name.name, one.column][one.kind, str(one.subtype), one.description] = None
    return [
        {
            "namespace": namespace,
            "name": name,
            "field": column,
            "transformations": [
                {"type": kind, "subtype": subtype, "description": description, "masking": False}
                for kind, subtype, description in played
            ],
        }
        for (namespace, name, column), played in parts.items()
    ]


def assertions_facet(checks: Sequence[CheckReport]) -> Facets:
    """What was expected of a dataset and found out about it; no facet where nothing was asked."""
    assertions = [
        {"assertion": one.kind, "name": one.expectation, "success": one.success, "severity": one.severity}
        | ({"column": one.column} if one.column else {})
        for one in checks
    ]
    return facet("dataQualityAssertions", {"assertions": assertions}) if assertions else {}


def read_facet(read: ReadReport | None, *, nothing: bool) -> Facets:
    """How much was read of an input; no facet where that is not known.

    Args:
        read: What was read.
        nothing: Whether it is known that nothing was.
    """
    if read is None:
        return facet("inputStatistics", {"rowCount": 0}) if nothing else {}
    counts = {"rowCount": read.rows, "fileCount": read.files, "size": read.size_bytes}
    return facet("inputStatistics", counts)


def version_facet(version: str | None) -> Facets:
    """The version of what a dataset holds; no facet where that is not known."""
    return facet("version", {"datasetVersion": version}) if version else {}


def tags_facet(tags: Mapping[str, str], *, of_job: bool = False) -> Facets:
    """Keys and values to find a dataset or job by."""
    found = [{"key": key, "value": value, "source": "BIOREACTOR_LAKE"} for key, value in tags.items()]
    return facet("tags", {"tags": found}, of_job=of_job)


def ownership_facet(owners: Sequence[Mapping[str, str]], *, of_job: bool = False) -> Facets:
    """Who is responsible; no facet where nobody is named.

    Args:
        owners: Each with a `name`, such as `team:bioprocess`, and perhaps a `type`, such as `MAINTAINER`.
        of_job: Of a job rather than of a dataset.
    """
    return facet("ownership", {"owners": [dict(owner) for owner in owners]}, of_job=of_job) if owners else {}


def job_type_facet(kind: str, integration: str = "KEDRO") -> Facets:
    """What kind of job it is: `DAG`, `TASK` or another word of OpenLineage's."""
    return facet("jobType", {"processingType": "BATCH", "integration": integration, "jobType": kind})


def nominal_time_facet(start: datetime | None, end: datetime | None = None) -> Facets:
    """The time that a run was scheduled for; no facet where it was not."""
    if start is None:
        return {}
    times = {"nominalStartTime": start.isoformat(), "nominalEndTime": end.isoformat() if end else None}
    return facet("nominalTime", times)
