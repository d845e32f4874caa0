"""A watch of the landing zone: an export that is put there is in the marts without anybody's doing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.increments.lake import Lake, readings
from tests.watch.watched import Watched


@pytest.fixture
def lake(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setenv("BIOREACTOR_LAKE_LANDING", str(tmp_path / "landing"))
    lake = Lake(tmp_path / "lake", server)
    lake.put("a.parquet", readings("B-1", 3))
    yield lake
    lake.drop()


@pytest.mark.slow
def test_a_landed_file_comes_through(lake: Lake, tmp_path: Path) -> None:
    def batches() -> set[str]:
        with psycopg.connect(lake.database) as connection:
            if connection.execute("SELECT to_regclass('marts.mart_bioreactor_overview')").fetchone() == (None,):
                return set()
            return {one for (one,) in connection.execute("SELECT batch_id FROM marts.mart_bioreactor_overview")}

    (tmp_path / "landing").mkdir()
    watch = Watched(lake, "--params", "checkpoints=false")
    try:
        watch.until(lambda: "B-1" in batches())
        part = tmp_path / "pensimpy_seed1.csv"
        part.write_text(",Volume,pH\n" + "".join(f"{row / 5},{57972 - row},6.4\n" for row in range(1, 30)))
        (tmp_path / "landing" / "pensim").mkdir()
        shutil.move(part, tmp_path / "landing" / "pensim" / part.name)
        watch.until(lambda: "PEN001" in batches())
        assert watch.end()[0] in (0, 143)
    finally:
        if watch.process.poll() is None:
            watch.kill()
