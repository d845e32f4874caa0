"""What is computed over several batches changes as a whole, and so does everything that is made of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.increments.lake import Lake, readings
from tests.increments.variants import WHOLE

NODES = [(name, node) for name, variants in WHOLE.items() for node in variants]


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    made = Lake(tmp_path / "lake", server)
    for number in range(6):
        made.put(f"{number}.parquet", readings(f"b-{number}", number + 1))
    yield made
    made.drop()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "node"), NODES, ids=[node.__name__ for _, node in NODES])
def test_one_changed_batch_changes_all_that_depend_on_it(lake: Lake, name: str, node: object) -> None:
    lake.logic[name] = node
    lake.run()
    lake.put("3.parquet", readings("b-3", 40))
    lake.run()
    lake.assert_equals_fresh_build()
    assert {write.batches for write in lake.run().writes if write.table != "raw.files"} == {0}
