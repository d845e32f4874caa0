"""What may be computed of some raw files by themselves."""

import ibis
import ibis.expr.types as ir
import pytest
from ibis import _

from bioreactor_lake.lake.row_wise import is_row_wise
from bioreactor_lake.pipelines.curated.nodes import summarise_tags
from bioreactor_lake.pipelines.staging.nodes import set_aside_rejects, stage_readings

TEXT = ("batch_id", "equipment_id", "site", "tag", "ts_text", "value_text", "unit", "quality", "source_file")
raw = ibis.table({**dict.fromkeys(TEXT, "string"), "ts": "timestamp(6)", "value": "float64"}, name="bioreactor")
files = ibis.table({"path": "string", "rows_rejected": "int64", "status": "string"}, name="files")


def test_staging_is_row_wise() -> None:
    assert is_row_wise(stage_readings(raw))


@pytest.mark.parametrize(
    "table",
    [
        summarise_tags(stage_readings(raw)),
        set_aside_rejects(raw, files),
        raw.mutate(previous=_.value.lag().over(group_by="batch_id", order_by="ts")),
        raw.mutate(share=_.value / _.value.sum()),
        raw.filter(_.value > _.value.mean()),
        raw.filter(_.ts > raw.ts.max().as_scalar()),
        raw.distinct(),
        raw.limit(10),
        raw.union(raw, distinct=True),
        raw.inner_join(files, raw.source_file == files.path),
    ],
)
def test_what_looks_at_several_rows_is_not(table: ir.Table) -> None:
    assert not is_row_wise(table)
