"""How the columns of one raw file become the canonical raw columns.

Pure rules that see one file schema at a time, so that no file can change how another is read: which column is which
(`reading_rules`), how its type reads (`casts`), and what the two make of a file (here).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from bioreactor_lake.pipelines.ingestion.casts import as_number, as_text, as_time
from bioreactor_lake.pipelines.ingestion.reading_rules import REQUIRED, ReadingRules, UnreadableFile, match_columns

TEXT = ("batch_id", "equipment_id", "site", "tag", "unit", "quality")
PARTITION = "partition "


def read_canonical(file: ir.Table, rules: ReadingRules) -> ir.Table:
    """Canonical columns of the files of one schema. Grain: one row per raw row.

    Numbers and times come in their own types. Where a file holds them as text, the text is kept beside what it was
    read as (`ts_text`, `value_text`), so that nothing is lost when it does not read. Times are UTC without a zone.
    A column that the file lacks is taken from the folder names (`batch_id=00042/`) where they have it.

    Args:
        file: Rows of files of one schema, with `source_file`, the path under the raw folder, and a text column
            `partition <key>` for each key in the folder names.
        rules: The declared reading rules.

    Raises:
        UnreadableFile: A column is missing, doubled, or of a type that cannot be read as what it means.
    """
    return file.select(**_canonical_columns(file, rules))


def read_with_partition_conflicts(file: ir.Table, rules: ReadingRules) -> ir.Table:
    """`read_canonical` with `partition_conflict`: what a folder name and the row say differently, else null.

    Grain: one row per raw row. Arguments and errors as for `read_canonical`.
    """
    own, folders = _mappings(file, rules)
    conflict: ir.Value = ibis.null("string")
    for name in own.keys() & folders.keys():
        said, holds = file[folders[name]], as_text(file[own[name]], name).strip()
        text = ibis.literal(f"the folder name says {name}=") + said + " but the file's own column says " + holds
        conflict = ibis.coalesce(conflict, (said.strip() != holds).ifelse(text, None))
    return file.select(**_canonical_columns(file, rules), partition_conflict=conflict)


def _canonical_columns(file: ir.Table, rules: ReadingRules) -> dict[str, ir.Value]:
    own, folders = _mappings(file, rules)
    mapping = folders | own
    columns: dict[str, ir.Value] = {}
    for name in TEXT:
        columns[name] = as_text(file[mapping[name]], name) if name in mapping else ibis.null("string")
    ts, ts_text = as_time(file[mapping["ts"]], file.source_file, rules)
    value, value_text = as_number(file[mapping["value"]])
    columns |= {"ts": ts, "ts_text": ts_text, "value": value, "value_text": value_text}
    order = ("batch_id", "equipment_id", "site", "tag", "ts", "ts_text", "value", "value_text", "unit", "quality")
    return {**{name: columns[name] for name in order}, "source_file": file.source_file}


def _mappings(file: ir.Table, rules: ReadingRules) -> tuple[dict[str, str], dict[str, str]]:
    """Canonical name to the file's own column, and to the column of a folder name (text columns only)."""
    keys = [name.removeprefix(PARTITION) for name in file.columns if name.startswith(PARTITION)]
    meant = match_columns((key for key in keys if rules.canonical(key) in TEXT), rules)
    folders = {name: PARTITION + key for name, key in meant.items()}
    own = match_columns(
        (name for name in file.columns if name != "source_file" and not name.startswith(PARTITION)), rules
    )
    if missing := [column for column in REQUIRED if column not in own | folders]:
        names = ", ".join(repr(name) for name in file.columns if name != "source_file")
        raise UnreadableFile(
            f"no column means {' or '.join(missing)}; the file has {names}",
            next_step="add the column, or declare its name in reading.synonyms",
        )
    return own, folders
