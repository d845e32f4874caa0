"""Expressions about values: computed, chosen, aggregated, over windows, from subqueries."""

import ibis
import ibis.expr.types as ir
from cases import Case, L, T
from ibis import _


def by_batch() -> ir.Table:
    return T.group_by("batch_id")


def doubled(levels: int) -> ir.Table:
    table = T.select("value")
    for _level in range(levels):
        table = table.mutate(value=_.value + _.value)
    return table


VALUES: dict[str, Case] = {
    "select": Case(T.select("tag"), {"tag": "readings.tag IDENTITY"}),
    "rename": Case(T.select(name=T.tag), {"name": "readings.tag IDENTITY"}),
    "rename of a table": Case(
        T.select("tag", "low").rename(name="tag"), {"name": "readings.tag IDENTITY", "low": "readings.low IDENTITY"}
    ),
    "drop": Case(T.drop("flags", "ts", "low", "tag"), {"batch_id": "readings.batch_id IDENTITY"}, own=("value",)),
    "literal": Case(T.select(one=ibis.literal(1), value="value"), {"one": ""}, own=("value",)),
    "cast": Case(T.select(v=T.value.cast("int64")), {"v": "readings.value TRANSFORMATION"}),
    "arithmetic over two columns": Case(
        T.select(v=T.value / T.low), {"v": "readings.value TRANSFORMATION, readings.low TRANSFORMATION"}
    ),
    "chain of mutates, a name used again": Case(
        T.mutate(v=_.value + 1).mutate(v=_.v * _.low).select("v"),
        {"v": "readings.value TRANSFORMATION, readings.low TRANSFORMATION"},
    ),
    "columns that change places": Case(
        T.select(value=T.low, low=T.value), {"value": "readings.low IDENTITY", "low": "readings.value IDENTITY"}
    ),
    "choice": Case(
        T.select(v=(T.tag == "ph").ifelse(T.value, T.low)),
        {"v": "readings.value TRANSFORMATION, readings.low TRANSFORMATION, readings.tag CONDITIONAL"},
    ),
    "cases of literals": Case(
        T.select(v=ibis.cases((T.value > 1, "high"), (T.low > 1, "low"), else_="none")),
        {"v": "readings.value CONDITIONAL, readings.low CONDITIONAL"},
    ),
    "cases of a value": Case(
        T.select(v=T.tag.cases(("ph", T.value), else_=T.low)),
        {"v": "readings.value TRANSFORMATION, readings.low TRANSFORMATION, readings.tag CONDITIONAL"},
    ),
    "mean of a choice": Case(
        T.agg(v=(T.tag == "ph").ifelse(T.value, None).mean()),
        {"v": "readings.value AGGREGATION, readings.tag CONDITIONAL"},
    ),
    "choice between aggregates": Case(
        T.agg(v=(T.low.max() > 1).ifelse(T.value.sum(), 0.0)),
        {"v": "readings.value AGGREGATION, readings.low CONDITIONAL"},
    ),
    "coalesce": Case(
        T.select(v=ibis.coalesce(T.value, T.low)), {"v": "readings.value TRANSFORMATION, readings.low TRANSFORMATION"}
    ),
    "aggregate": Case(
        by_batch().agg(mean=_.value.mean(), n=_.count(), tags=_.tag.nunique()),
        {
            "batch_id": "readings.batch_id IDENTITY",
            "mean": "readings.value AGGREGATION",
            "n": "readings.* AGGREGATION",
            "tags": "readings.tag AGGREGATION",
        },
        "readings.batch_id GROUP_BY",
    ),
    "group key computed": Case(
        T.group_by(day=_.ts.truncate("D")).agg(top=_.value.max()),
        {"day": "readings.ts TRANSFORMATION", "top": "readings.value AGGREGATION"},
        "readings.ts GROUP_BY",
    ),
    "aggregation, then arithmetic": Case(
        by_batch().agg(s=_.value.sum()).select(v=_.s * 2),
        {"v": "readings.value AGGREGATION"},
        "readings.batch_id GROUP_BY",
    ),
    "aggregate of some rows": Case(
        T.agg(v=_.value.mean(where=_.tag == "ph"), n=_.count(where=_.low > 0)),
        {
            "v": "readings.value AGGREGATION, readings.tag FILTER",
            "n": "readings.* AGGREGATION, readings.low FILTER",
        },
    ),
    "aggregate in order": Case(
        T.agg(v=_.value.collect(order_by=_.ts), w=_.tag.first(order_by=_.low)),
        {"v": "readings.value AGGREGATION, readings.ts SORT", "w": "readings.tag AGGREGATION, readings.low SORT"},
    ),
    "value at an extreme": Case(T.agg(v=_.value.argmax(_.ts)), {"v": "readings.value AGGREGATION, readings.ts SORT"}),
    "window": Case(
        T.select("value", p=T.value.lag().over(group_by="batch_id", order_by="ts")),
        {"p": "readings.value TRANSFORMATION, readings.batch_id WINDOW, readings.ts WINDOW"},
        own=("value",),
    ),
    "aggregate over a window": Case(
        T.select(share=T.value / T.value.sum().over(group_by=["batch_id", T.tag.upper()])),
        {
            "share": "readings.value TRANSFORMATION, readings.value AGGREGATION, readings.batch_id WINDOW, "
            "readings.tag WINDOW"
        },
    ),
    "row number": Case(
        T.select(n=ibis.row_number().over(group_by="batch_id", order_by=ibis.desc("value"))),
        {"n": "readings.batch_id WINDOW, readings.value WINDOW"},
    ),
    "scalar subquery": Case(
        T.select(d=T.value - L.filter(_.tag == "ph").low.mean().as_scalar()),
        {"d": "readings.value TRANSFORMATION, limits.low AGGREGATION, limits.tag FILTER"},
    ),
    "membership as a value": Case(
        T.select(known=T.tag.isin(L.tag)), {"known": "readings.tag TRANSFORMATION, limits.tag TRANSFORMATION"}
    ),
    "nulls filled": Case(
        T.select("value", "low").fill_null({"value": 0.0}), {"value": "readings.value TRANSFORMATION"}, own=("low",)
    ),
    "struct and its field": Case(
        T.select(s=ibis.struct({"a": T.value, "b": T.low})).select(v=_.s.a),
        {"v": "readings.value TRANSFORMATION, readings.low TRANSFORMATION"},
    ),
    "count of distinct rows": Case(
        T.select("tag", "low").agg(n=_.nunique()),
        {"n": "readings.* AGGREGATION, readings.tag AGGREGATION, readings.low AGGREGATION"},
    ),
    "sixty levels, each using the last twice": Case(doubled(60), {"value": "readings.value TRANSFORMATION"}),
}
