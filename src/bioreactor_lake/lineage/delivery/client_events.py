"""Stored events as objects of the OpenLineage client."""

from __future__ import annotations

from typing import Any

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import environment_variables_run, parent_run, tags_job, tags_run

from bioreactor_lake.lineage.delivery.reasons import UnsuitableEvent


def to_client_event(event: dict[str, Any]) -> RunEvent:
    """An event as the client takes it. Facets stay as they are, except for those that the client itself looks into.

    Args:
        event: An OpenLineage run event.

    Raises:
        UnsuitableEvent: Something is missing in it, or is not what OpenLineage says.
    """
    try:
        return RunEvent(
            eventTime=event["eventTime"],
            producer=event["producer"],
            eventType=RunState(event["eventType"]),
            run=Run(event["run"]["runId"], _run_facets(event["run"].get("facets"))),
            job=Job(event["job"]["namespace"], event["job"]["name"], _job_facets(event["job"].get("facets"))),
            inputs=[
                InputDataset(
                    each["namespace"],
                    each["name"],
                    facets=each.get("facets") or {},
                    inputFacets=each.get("inputFacets") or {},
                )
                for each in event.get("inputs") or ()
            ],
            outputs=[
                OutputDataset(
                    each["namespace"],
                    each["name"],
                    facets=each.get("facets") or {},
                    outputFacets=each.get("outputFacets") or {},
                )
                for each in event.get("outputs") or ()
            ],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnsuitableEvent(f"{type(error).__name__} {error}") from None


def _run_facets(stored: dict[str, Any] | None) -> dict[str, Any]:
    facets = dict(stored or {})
    if "parent" in facets:
        facets["parent"] = _parent(facets["parent"])
    if "tags" in facets:
        facet = facets["tags"]
        tags = [tags_run.TagsRunFacetFields(tag["key"], tag["value"], tag.get("source")) for tag in facet["tags"]]
        facets["tags"] = tags_run.TagsRunFacet(tags, producer=facet["_producer"])
    if "environmentVariables" in facets:
        facet = facets["environmentVariables"]
        variables = [
            environment_variables_run.EnvironmentVariable(each["name"], each["value"])
            for each in facet["environmentVariables"]
        ]
        facets["environmentVariables"] = environment_variables_run.EnvironmentVariablesRunFacet(
            variables, producer=facet["_producer"]
        )
    return facets


def _job_facets(stored: dict[str, Any] | None) -> dict[str, Any]:
    facets = dict(stored or {})
    if "tags" in facets:
        facet = facets["tags"]
        tags = [tags_job.TagsJobFacetFields(tag["key"], tag["value"], tag.get("source")) for tag in facet["tags"]]
        facets["tags"] = tags_job.TagsJobFacet(tags, producer=facet["_producer"])
    return facets


def _parent(facet: dict[str, Any]) -> parent_run.ParentRunFacet:
    root = facet.get("root")
    return parent_run.ParentRunFacet(
        run=parent_run.Run(facet["run"]["runId"], facet["run"].get("facets")),
        job=parent_run.Job(facet["job"]["namespace"], facet["job"]["name"], facet["job"].get("facets")),
        root=root
        and parent_run.Root(
            run=parent_run.RootRun(root["run"]["runId"], root["run"].get("facets")),
            job=parent_run.RootJob(root["job"]["namespace"], root["job"]["name"], root["job"].get("facets")),
        ),
        producer=facet["_producer"],
    )
