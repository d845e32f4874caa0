"""The proof of batch-locality, against expressions that are local and ones that are not."""

from collections.abc import Callable

import ibis
import ibis.expr.types as ir
import pytest
from ibis import _

from bioreactor_lake.lake.locality import why_not_local
from bioreactor_lake.pipelines.curated.nodes import describe_batches, downsample_readings, summarise_tags
from bioreactor_lake.pipelines.marts.nodes import build_overview, build_timeline

READINGS = ibis.table(
    {
        "batch_id": "string", "equipment_id": "string", "site": "string", "tag": "string", "ts": "timestamp",
        "value": "float64", "value_text": "string", "unit": "string", "source_file": "string",
    },
    name="stg_bioreactor",
)  # fmt: skip
SERIES, BATCHES, STATS = (
    ibis.table(node(READINGS).schema(), name=node.__name__)
    for node in (downsample_readings, describe_batches, summarise_tags)
)
LIMITS = ibis.table({"tag": "string", "low": "float64"}, name="limits")
OVERVIEW = {"min_readings": 1, "max_null_fraction": 1.0, "excluded_tags": ["x"]}
TIMELINE = {"tags": ["ph"], "batches_since": "2020-01-01"}

LOCAL: dict[str, Callable[[], ir.Table]] = {
    "downsampled series": lambda: downsample_readings(READINGS),
    "batches, with ranks and two joins": lambda: describe_batches(READINGS),
    "statistics": lambda: summarise_tags(READINGS),
    "overview": lambda: build_overview(BATCHES, STATS, OVERVIEW),
    "timeline": lambda: build_timeline(SERIES, BATCHES, TIMELINE),
    "reference table, inner": lambda: READINGS.inner_join(LIMITS, "tag"),
    "reference table, left": lambda: READINGS.left_join(LIMITS, "tag"),
    "membership in a reference table": lambda: READINGS.filter(_.tag.isin(LIMITS.tag)),
    "share of the batch": lambda: READINGS.mutate(s=_.value / _.value.sum().over(group_by="batch_id")),
    "previous reading of the batch": lambda: READINGS.mutate(
        p=_.value.lag().over(group_by=["batch_id", "tag"], order_by="ts")
    ),
    "self-join by batch": lambda: READINGS.inner_join(READINGS.view(), ["batch_id", "tag"]),
    "semi-join by batch": lambda: READINGS.semi_join(BATCHES, "batch_id"),
    "union": lambda: READINGS.union(READINGS.filter(_.tag == "ph")),
    "distinct tags of batches": lambda: READINGS.select("batch_id", "tag").distinct(),
    "renamed and back": lambda: READINGS.rename(b="batch_id").rename(batch_id="b"),
    "sorted": lambda: READINGS.order_by("ts"),
    "nulls filled elsewhere": lambda: READINGS.fill_null({"value": 0.0}),
}

NOT_LOCAL: dict[str, Callable[[], ir.Table]] = {
    "share of the total": lambda: READINGS.mutate(s=_.value / _.value.sum()),
    "second of two filters looks at all": lambda: READINGS.filter(_.value > _.value.mean(), _.tag == "ph"),
    "previous reading of the tag": lambda: READINGS.mutate(p=_.value.lag().over(group_by="tag", order_by="ts")),
    "previous batch": lambda: BATCHES.mutate(p=_.batch_start.lag().over(order_by="batch_start")),
    "key changed": lambda: READINGS.mutate(batch_id=_.batch_id.upper()),
    "key replaced": lambda: READINGS.mutate(batch_id=_.equipment_id),
    "key filled": lambda: READINGS.fill_null({"batch_id": "?"}),
    "key of the side that may be missing": lambda: BATCHES.left_join(STATS, "batch_id").select(STATS.batch_id, "tag"),
    "limit": lambda: READINGS.limit(5),
    "sample": lambda: READINGS.sample(0.5),
    "top tags": lambda: READINGS.tag.topk(3),
    "aggregate over everything": lambda: READINGS.agg(n=_.count()),
    "aggregate by tag": lambda: READINGS.group_by("tag").agg(n=_.count()),
    "distinct without the key": lambda: READINGS.select("tag").distinct(),
    "golden batch by join": lambda: READINGS.inner_join(READINGS.filter(_.batch_id == "G").view(), "tag"),
    "golden batch by subquery": lambda: READINGS.filter(
        _.value > READINGS.filter(_.batch_id == "G").value.mean().as_scalar()
    ),
    "batches with a sibling": lambda: READINGS.filter(_.batch_id.isin(BATCHES.batch_id)),
    "cross join": lambda: READINGS.cross_join(BATCHES),
    "semi-join by tag": lambda: READINGS.semi_join(STATS.select("batch_id", "tag").view(), "tag"),
    "reference table, right": lambda: READINGS.right_join(LIMITS, "tag"),
    "reference table, outer": lambda: READINGS.outer_join(LIMITS, "tag"),
    "outer join of batches": lambda: STATS.outer_join(BATCHES, "batch_id"),
    "reference table only": lambda: LIMITS,
}


@pytest.mark.parametrize("name", LOCAL)
def test_local(name: str) -> None:
    assert why_not_local(LOCAL[name]()) is None


@pytest.mark.parametrize("name", NOT_LOCAL)
def test_not_local_and_says_why(name: str) -> None:
    assert why_not_local(NOT_LOCAL[name]())
