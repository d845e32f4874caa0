"""Mistakes in openlineage.yml are named before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from bioreactor_lake.errors import UsageError
from bioreactor_lake.lineage.settings import LineageSettings


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"owner": []}, "owner"),
        ({"owners": "team:x"}, "owners in openlineage.yml is 'team:x'"),
        ({"postgres_hosts": ["a"]}, "postgres_hosts"),
        ({"exposures": ["a"]}, "exposures"),
        ({"exposures": {"a": {"reads": "mart"}}}, "a list of marts"),
        ({"exposures": {"a": {"reads": []}}}, "reads nothing"),
        ({"exposures": {"a: #1": {"reads": ["mart"]}}}, "a name that servers refuse"),
        ({"exposures": {"a": {"reads": ["mart"], "colour": "red"}}}, "colour"),
        ({"namespace": "my ns;x"}, "holds what servers refuse"),
        ({"indirect_inputs": "never"}, "with_rows or with_each_column"),
    ],
)
def test_a_mistake_is_named(config: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        LineageSettings.from_config(config)
    assert said in str(error.value)


def test_what_is_left_out_has_a_default() -> None:
    settings = LineageSettings.from_config(
        {"owners": ["team:x", {"name": "ada", "type": "STEWARD"}], "transport": None}
    )
    assert settings.owners == ({"name": "team:x"}, {"name": "ada", "type": "STEWARD"})
    assert settings.namespace == "bioreactor_lake"
    assert LineageSettings.from_config({"file": None}).file is None
