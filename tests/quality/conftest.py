"""A lake whose checkpoints are on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.increments.lake import Lake


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = True
    yield lake
    lake.drop()
