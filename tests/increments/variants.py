"""Other logic for the project's nodes: what a developer may make of them between two runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from unittest.mock import patch

import ibis
import ibis.expr.types as ir
from ibis import _

from bioreactor_lake.pipelines.curated.nodes import describe_batches, summarise_tags
from bioreactor_lake.pipelines.marts.nodes import build_overview, build_timeline
from bioreactor_lake.pipelines.staging.nodes import stage_readings

Node = Callable[..., ir.Table]


def without_a_tag(raw_bioreactor: ir.Table) -> ir.Table:
    return stage_readings(raw_bioreactor).filter(_.tag != "do")


def as_share_of_the_largest(raw_bioreactor: ir.Table) -> ir.Table:
    return stage_readings(raw_bioreactor).mutate(value=_.value / _.value.max())


def numbered(stg_bioreactor: ir.Table, batch_sheets: ir.Table) -> ir.Table:
    return describe_batches(stg_bioreactor, batch_sheets).mutate(tag_count=ibis.row_number().over(order_by="batch_id"))


def in_capitals(stg_bioreactor: ir.Table, batch_sheets: ir.Table) -> ir.Table:
    """Under batches that no raw file has."""
    capital = describe_batches(stg_bioreactor.mutate(batch_id=_.batch_id.upper()), batch_sheets)
    return capital.mutate(batch_id="(" + _.batch_id + ")")


def of_positive_values(stg_bioreactor: ir.Table) -> ir.Table:
    return summarise_tags(stg_bioreactor.filter(_.value > 0))


def beside_the_largest_of_all(stg_bioreactor: ir.Table) -> ir.Table:
    return summarise_tags(stg_bioreactor).mutate(max_value=_.max_value.max())


def with_a_range(dim_batch: ir.Table, fact_bioreactor_batch_stats: ir.Table, rules: Mapping[str, object]) -> ir.Table:
    return build_overview(dim_batch, fact_bioreactor_batch_stats, rules).mutate(range=_.max_value - _.min_value)


def beside_the_longest_batch(
    dim_batch: ir.Table, fact_bioreactor_batch_stats: ir.Table, rules: Mapping[str, object]
) -> ir.Table:
    overview = build_overview(dim_batch, fact_bioreactor_batch_stats, rules)
    return overview.mutate(duration_hours=_.duration_hours / _.duration_hours.max(), batch_id="(" + _.batch_id + ")")


def without_sites(int_bioreactor_downsample_5m: ir.Table, dim_batch: ir.Table, rules: Mapping[str, object]) -> ir.Table:
    return build_timeline(int_bioreactor_downsample_5m, dim_batch, rules).drop("site")


# Those whose batches change with other batches.
WHOLE: dict[str, tuple[Node, ...]] = {
    "staging.stage_readings": (as_share_of_the_largest,),
    "curated.describe_batches": (numbered, in_capitals),
    "curated.summarise_tags": (beside_the_largest_of_all,),
    "marts.build_overview": (beside_the_longest_batch,),
}
VARIANTS: dict[str, tuple[Node, ...]] = {
    "staging.stage_readings": (*WHOLE["staging.stage_readings"], without_a_tag),
    "curated.describe_batches": WHOLE["curated.describe_batches"],
    "curated.summarise_tags": (*WHOLE["curated.summarise_tags"], of_positive_values),
    "marts.build_overview": (*WHOLE["marts.build_overview"], with_a_range),
    "marts.build_timeline": (without_sites,),
}


@contextmanager
def in_place(logic: Mapping[str, Node]) -> Iterator[None]:
    """Nodes of the project replaced by others, by layer and name."""
    with ExitStack() as patches:
        for name, node in logic.items():
            layer, _, function = name.partition(".")
            module = import_module(f"bioreactor_lake.pipelines.{layer}.pipeline")
            patches.enter_context(patch.object(module, function, node))
        yield
