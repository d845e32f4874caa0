"""What is declared about raw files is checked before a file is read, and errors name what to change."""

from __future__ import annotations

from typing import Any

import pytest

from bioreactor_lake.errors import LakeError
from bioreactor_lake.pipelines.ingestion.reading_rules import ReadingRules, UnreadableFile, match_columns


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"synonyms": {"batch": ["lot"]}}, "'batch'"),
        ({"synonyms": {"batch_id": ["lot"], "site": ["LOT"]}}, "batch_id and site"),
        ({"synonyms": {"batch_id": ["lot no"], "unit": ["Lot_No."]}}, "batch_id and unit"),
        ({"synonyms": {"batch_id": ["value"]}}, "batch_id"),
        ({"synonyms": {"batch_id": "lot"}}, "batch_id"),
        ({"synonyms": {"batch_id": ["%"]}}, "'%'"),
        ({"synonyms": {"batch_id": [7]}}, "7"),
        ({"time_zone": "Mars/Olympus"}, "'Mars/Olympus'"),
        ({"time_zone": "+02:00"}, "'+02:00'"),
        ({"time_zone": "localtime"}, "'localtime'"),
        ({"time_zones": {"cork/": "Europe/Corke"}}, "'Europe/Corke'"),
        ({"epoch_unit": "minutes"}, "'minutes'"),
        ({"timezone": "Europe/Berlin"}, "timezone"),
    ],
    ids=str,
)
def test_a_wrong_rule_is_refused_by_name(parameters: dict[str, Any], named: str) -> None:
    with pytest.raises(LakeError, match="Next: ") as error:
        ReadingRules.from_parameters(parameters)
    assert named in str(error.value)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"synonyms": None}, {"synonyms": {"site": None}}, {"time_zones": None}, {"time_zone": None}],
    ids=str,
)
def test_what_is_left_out_has_a_default(parameters: dict[str, Any]) -> None:
    assert ReadingRules.from_parameters(parameters).epoch_unit == "ms"


@pytest.mark.parametrize("name", ["batch_id", "BATCH ID", "BatchId", "batch-id", " batch.id ", "Lot No.", "lotNo"])
def test_case_blanks_and_punctuation_do_not_matter(name: str) -> None:
    assert ReadingRules({"batch_id": ("lot_no",)}).canonical(name) == "batch_id"


@pytest.mark.parametrize("name", ["", "batch", "batch_id_2", "id", "%", "バッチ"])
def test_other_names_mean_nothing(name: str) -> None:
    assert ReadingRules({"batch_id": ("lot_no",)}).canonical(name) is None


def test_two_spellings_of_one_column_are_named() -> None:
    with pytest.raises(UnreadableFile, match="'Batch Id' and 'LOT' both mean batch_id"):
        match_columns(["Batch Id", "ts", "LOT"], ReadingRules({"batch_id": ("lot",)}))
