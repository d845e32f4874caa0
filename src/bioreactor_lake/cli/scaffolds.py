"""What `kedro lake new-source` and `kedro lake new-mart` write."""

from __future__ import annotations

from pathlib import Path
from string import Template

from bioreactor_lake.errors import LakeError

_SOURCE_NODE = '''"""Readings of the source $name."""

import ibis.expr.types as ir
from kedro.pipeline import Node


def stage_$name(stg_bioreactor: ir.Table) -> ir.Table:
    """Readings that came from $name. Grain: one row per reading.

    Args:
        stg_bioreactor: All readings.
    """
    return stg_bioreactor.filter(stg_bioreactor.source_file.startswith("$name/"))


NODES = [Node(stage_$name, "stg_bioreactor", "stg_$name", name="stage_$name")]
'''
_SOURCE_CATALOG = """# The source $name: a view of its readings beside those of all others.
stg_$name:
  type: bioreactor_lake.datasets.tables.ViewDataset
  warehouse: $${globals:warehouse}
  database: staging
  table_name: stg_$name
  description: One row per reading of $name
  columns: $${globals:columns}
  metadata: { pipeline: staging, kedro-viz: { layer: staging } }
"""
_SOURCE_SUITE = """# What is expected of readings of $name, beside what is expected of all.
name: stg_$name
expectations:
  values_are_mostly_there:
    type: expect_column_values_to_not_be_null
    kwargs: { column: value, mostly: 0.5 }
    severity: warn
"""
_SOURCE_TEST = '''"""The profile $name reads its sample."""

from pathlib import Path

from bioreactor_lake.datasets.profile_preview import preview_file
from bioreactor_lake.datasets.profiles import ProfilesDataset
from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.pipelines.ingestion.nodes import ReadByProfile

PROFILES = Path(__file__).parents[2] / "conf" / "base" / "profiles"
SAMPLE = Path(__file__).parent / "samples" / "$name" / $sample
TAGS = $tags


def test_the_sample_is_read() -> None:
    profile = ProfilesDataset(folders=[str(PROFILES)]).load()()["$name"]
    preview = preview_file(SAMPLE, SAMPLE.name, profile, Limits(), ReadByProfile())
    assert preview.is_read, preview.facts["reason"]
    assert preview.rejected == ()
    assert {tag.tag for tag in preview.tags} == TAGS
'''
_MART_NODE = '''"""The mart $name."""

import ibis.expr.types as ir
from ibis import _
from kedro.pipeline import Node


def build_$name(dim_batch: ir.Table, fact_bioreactor_batch_stats: ir.Table) -> ir.Table:
    """How much was measured of each equipment of a batch. Grain: batch x equipment.

    Args:
        dim_batch: The batches.
        fact_bioreactor_batch_stats: The statistics per batch, equipment and tag.
    """
    measured = fact_bioreactor_batch_stats.group_by("batch_id", "equipment_id").agg(
        tag_count=_.tag.nunique(),
        reading_count=_.reading_count.sum(),
    )
    return measured.inner_join(dim_batch, "batch_id").select(
        measured.batch_id,
        measured.equipment_id,
        dim_batch.batch_start,
        measured.tag_count,
        measured.reading_count,
    )


NODES = [
    Node(
        build_$name,
        ["dim_batch", "fact_bioreactor_batch_stats"],
        "mart_$name",
        name="build_$name",
    )
]
'''
_MART_CATALOG = """# The mart $name.
mart_$name:
  type: bioreactor_lake.datasets.marts.MartDataset
  warehouse: $${globals:warehouse}
  postgres: $${globals:postgres}
  credentials: postgres
  schema: marts
  table_name: mart_$name
  primary_key: [batch_id, equipment_id]
  indexes: [[equipment_id]]
  description: One row per batch and equipment
  columns: $${globals:columns}
  metadata: { pipeline: marts, kedro-viz: { layer: marts } }
"""
_MART_SUITE = """# What is expected of the mart $name. A batch that fails an `error` is held.
name: mart_$name
expectations:
  something_was_measured:
    type: expect_column_values_to_be_between
    kwargs: { column: reading_count, min_value: 1 }
    severity: error
"""
_SOURCE = "src/bioreactor_lake/pipelines/staging/sources"
_MARTS = "src/bioreactor_lake/pipelines/marts/own"


def source_files(name: str, *, profile: str, sample: str, tags: set[str]) -> dict[str, str]:
    """The files of a new source, by path under the project.

    Args:
        name: The source.
        profile: Its profile, YAML.
        sample: The name of its sample.
        tags: The tags that the profile finds in it.
    """
    listed = "{\n" + "".join(f"    {tag!r},\n" for tag in sorted(tags)) + "}"
    values = {"name": name, "sample": repr(sample), "tags": listed}
    return {
        f"conf/base/profiles/{name}.yml": profile,
        f"conf/base/catalog_stg_{name}.yml": Template(_SOURCE_CATALOG).substitute(values),
        f"conf/base/suites/stg_{name}.yml": Template(_SOURCE_SUITE).substitute(values),
        f"{_SOURCE}/{name}.py": Template(_SOURCE_NODE).substitute(values),
        f"tests/sources/test_{name}.py": Template(_SOURCE_TEST).substitute(values),
    }


def mart_files(name: str) -> dict[str, str]:
    """The files of a new mart, by path under the project."""
    values = {"name": name}
    return {
        f"conf/base/catalog_mart_{name}.yml": Template(_MART_CATALOG).substitute(values),
        f"conf/base/suites/mart_{name}.yml": Template(_MART_SUITE).substitute(values),
        f"{_MARTS}/{name}.py": Template(_MART_NODE).substitute(values),
    }


def write_files(project: Path, files: dict[str, str]) -> None:
    """Write files, all or none of them; none that is there is touched.

    Raises:
        LakeError: One is there already, or cannot be written.
    """
    if there := [path for path in files if (project / path).exists()]:
        raise LakeError(
            f"{there[0]} is there already.", kept="Nothing was written.", next_step="Choose another name, or edit it."
        )
    try:
        for path, text in files.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text, encoding="utf-8")
    except OSError as error:
        for path in files:
            (project / path).unlink(missing_ok=True)
        raise LakeError(
            f"{error.filename} cannot be written: {error.strerror}.",
            kept="Nothing was written.",
            next_step="Give this user the right to write the project.",
        ) from error
