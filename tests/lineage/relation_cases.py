"""Expressions about rows: filtered, sorted, joined, united, made distinct, unnested."""

import ibis
import ibis.expr.types as ir
from cases import B, Case, L, T
from ibis import _


def by_batch() -> ir.Table:
    return T.group_by("batch_id")


joined = T.inner_join(B, T.batch_id == B.batch_id)
sibling = T.view()

ROWS: dict[str, Case] = {
    "filter": Case(
        T.filter(_.value > _.low).select("tag"), {}, "readings.value FILTER, readings.low FILTER", own=("tag",)
    ),
    "filter on what was computed": Case(
        T.mutate(v=(_.tag == "ph").ifelse(_.value, 0.0)).filter(_.v > 0).select("low"),
        {},
        "readings.value FILTER, readings.tag FILTER",
        own=("low",),
    ),
    "sort and limit": Case(
        T.order_by(ibis.desc("ts"), "tag").limit(2).select("value"),
        {},
        "readings.ts SORT, readings.tag SORT",
        own=("value",),
    ),
    "limit": Case(T.select("value").limit(5), {}, own=("value",)),
    "having": Case(
        by_batch().agg(n=_.count(), v=_.value.sum()).filter(_.n > 1).select("v"),
        {"v": "readings.value AGGREGATION"},
        "readings.batch_id GROUP_BY, readings.* FILTER",
    ),
    "filter on a rank": Case(
        T.mutate(n=ibis.row_number().over(group_by="batch_id", order_by="ts")).filter(_.n == 0).select("value"),
        {},
        "readings.batch_id FILTER, readings.ts FILTER",
        own=("value",),
    ),
    "inner join": Case(
        joined.select(T.value, B.site),
        {"value": "readings.value IDENTITY", "site": "batches.site IDENTITY"},
        "readings.batch_id JOIN, batches.batch_id JOIN",
        "readings, batches",
    ),
    "left join, then a choice": Case(
        T.left_join(L, "tag").select(ok=(T.value > L.low).fill_null(False)),
        {"ok": "readings.value TRANSFORMATION, limits.low TRANSFORMATION"},
        "readings.tag JOIN, limits.tag JOIN",
        "readings, limits",
    ),
    "join of filtered sides": Case(
        T.filter(_.value > 0).inner_join(L.filter(_.low > 0), "tag").select(T.ts),
        {},
        "readings.value FILTER, limits.low FILTER, readings.tag JOIN, limits.tag JOIN",
        "readings, limits",
        own=("ts",),
    ),
    "three tables": Case(
        T.inner_join(B, "batch_id")
        .left_join(L, [T.tag == L.tag, B.started >= L.since])
        .select(T.value, B.site, limit=L.low),
        {"site": "batches.site IDENTITY", "limit": "limits.low IDENTITY"},
        "readings.batch_id JOIN, batches.batch_id JOIN, readings.tag JOIN, limits.tag JOIN, batches.started JOIN, "
        "limits.since JOIN",
        "readings, batches, limits",
        own=("value",),
    ),
    "outer join": Case(
        T.outer_join(L, "tag").select(v=T.value, tag=ibis.coalesce(T.tag, L.tag)),
        {"v": "readings.value IDENTITY", "tag": "readings.tag TRANSFORMATION, limits.tag TRANSFORMATION"},
        "readings.tag JOIN, limits.tag JOIN",
        "readings, limits",
    ),
    "right join": Case(
        T.right_join(L, "tag").select(v=T.value, low=L.low),
        {"v": "readings.value IDENTITY", "low": "limits.low IDENTITY"},
        "readings.tag JOIN, limits.tag JOIN",
        "readings, limits",
    ),
    "cross join": Case(
        T.cross_join(B.select("site")).select("value", "site"),
        {"site": "batches.site IDENTITY"},
        "",
        "readings, batches",
        ("value",),
    ),
    "semi-join": Case(
        T.semi_join(B.filter(_.site == "Basel"), "batch_id").select("value"),
        {},
        "readings.batch_id JOIN, batches.batch_id JOIN, batches.site FILTER",
        own=("value",),
    ),
    "anti-join": Case(
        T.anti_join(B, "batch_id").select("value"), {}, "readings.batch_id JOIN, batches.batch_id JOIN", own=("value",)
    ),
    "as-of join": Case(
        T.asof_join(L, on=T.ts >= L.since, predicates="tag").select(T.value, limit=L.low),
        {"limit": "limits.low IDENTITY"},
        "readings.ts JOIN, limits.since JOIN, readings.tag JOIN, limits.tag JOIN",
        "readings, limits",
        own=("value",),
    ),
    "self-join": Case(
        T.inner_join(sibling, [T.tag == sibling.tag, T.batch_id != sibling.batch_id]).select(d=T.value - sibling.low),
        {"d": "readings.value TRANSFORMATION, readings.low TRANSFORMATION"},
        "readings.tag JOIN, readings.batch_id JOIN",
    ),
    "self-join of an aggregate": Case(
        T.inner_join(by_batch().agg(mean=_.value.mean()), "batch_id").select("value", "mean"),
        {"mean": "readings.value AGGREGATION"},
        "readings.batch_id GROUP_BY, readings.batch_id JOIN",
        own=("value",),
    ),
    "union all": Case(
        T.select(v="value", t="tag").union(L.select(v=L.low * 2, t="tag")),
        {
            "v": "readings.value IDENTITY, limits.low TRANSFORMATION",
            "t": "readings.tag IDENTITY, limits.tag IDENTITY",
        },
        "",
        "readings, limits",
    ),
    "union of filtered rows": Case(
        T.filter(_.tag == "ph").select("value").union(T.filter(_.low > 0).select("value")),
        {},
        "readings.tag FILTER, readings.low FILTER",
        own=("value",),
    ),
    "union distinct": Case(
        T.select("tag").union(L.select("tag"), distinct=True),
        {"tag": "readings.tag IDENTITY, limits.tag IDENTITY"},
        "readings.tag GROUP_BY, limits.tag GROUP_BY",
        "readings, limits",
    ),
    "intersection": Case(
        T.select("tag").intersect(L.select("tag")),
        {},
        "readings.tag JOIN, limits.tag JOIN, readings.tag GROUP_BY",
        own=("tag",),
    ),
    "difference": Case(
        T.select("tag").difference(L.filter(_.low > 0).select("tag")),
        {},
        "readings.tag JOIN, limits.tag JOIN, limits.low FILTER, readings.tag GROUP_BY",
        own=("tag",),
    ),
    "distinct": Case(
        T.select("batch_id", "tag").distinct(),
        {},
        "readings.batch_id GROUP_BY, readings.tag GROUP_BY",
        own=("batch_id", "tag"),
    ),
    "filter by a scalar subquery": Case(
        T.filter(_.value > T.value.mean().as_scalar()).select("tag"), {}, "readings.value FILTER", own=("tag",)
    ),
    "filter by membership": Case(
        T.filter(_.tag.isin(L.filter(_.low > 0).tag)).select("value"),
        {},
        "readings.tag FILTER, limits.tag FILTER, limits.low FILTER",
        own=("value",),
    ),
    "filter by existence": Case(
        T.filter((L.tag == T.tag).any()).select("value"),
        {},
        "readings.tag FILTER, limits.tag FILTER, limits.* FILTER",
        own=("value",),
    ),
    "nulls dropped": Case(T.drop_null("value").select("tag"), {}, "readings.value FILTER", own=("tag",)),
    "unnested in a selection": Case(
        T.select("tag", flag=T.flags.unnest()),
        {"flag": "readings.flags TRANSFORMATION"},
        "readings.flags JOIN",
        own=("tag",),
    ),
    "unnested table": Case(
        T.select("tag", "flags").unnest("flags", offset="n"),
        {"flags": "readings.flags TRANSFORMATION", "n": "readings.flags TRANSFORMATION"},
        "readings.flags JOIN",
        own=("tag",),
    ),
}
