"""Simulated files: atomic, the same for any number of workers, and never in the place of somebody else's."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bioreactor_lake.cli.simulate import simulate
from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.simulation import SCHEMA, simulate_batch, write_batches

SAMPLE = Path(__file__).parents[2] / "data" / "01_raw" / "bioreactor"
SAMPLE_ARGUMENTS = ["--batches", "6", "--readings", "12000", "--seed", "7", "--reactors", "3"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_holds_its_batch(tmp_path: Path) -> None:
    written = write_batches(tmp_path / "new" / "raw", batches=2, readings=1_000)
    tables = [pq.read_table(tmp_path / "new" / "raw" / f"B-000{n}.parquet") for n in (1, 2)]
    assert tables[0].schema.equals(SCHEMA)
    assert tables[0].equals(simulate_batch(1, readings=1_000))
    assert (written.files, written.rows, written.unchanged) == (2, sum(table.num_rows for table in tables), 0)
    assert written.size_bytes == sum(len(data) for data in contents(tmp_path / "new" / "raw").values())


def test_workers_write_the_same_bytes_as_one_process(tmp_path: Path) -> None:
    write_batches(tmp_path / "one", batches=3, readings=1_000, workers=1)
    write_batches(tmp_path / "two", batches=3, readings=1_000, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_same_again_leaves_files_alone_and_adds_what_is_missing(tmp_path: Path) -> None:
    write_batches(tmp_path, batches=2, readings=1_000)
    before = (tmp_path / "B-0001.parquet").stat().st_mtime_ns
    written = write_batches(tmp_path, batches=3, readings=1_000)
    assert (written.files, written.unchanged) == (3, 2)
    assert (tmp_path / "B-0001.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize("other", [b"not parquet", None])
def test_other_content_is_kept_unless_overwriting_is_asked_for(tmp_path: Path, other: bytes | None) -> None:
    if other is None:
        write_batches(tmp_path, batches=2, readings=1_000, seed=8)
        (tmp_path / "B-0001.parquet").unlink()
    else:
        (tmp_path / "B-0002.parquet").write_bytes(other)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"1 of the files .*B-0002.*\n.*--overwrite"):
        write_batches(tmp_path, batches=2, readings=1_000)
    assert contents(tmp_path) == before
    write_batches(tmp_path, batches=2, readings=1_000, overwrite=True)
    assert pq.read_table(tmp_path / "B-0002.parquet").equals(simulate_batch(2, readings=1_000))


def test_a_failed_write_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_table: object, where: Path, **_options: object) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(LakeError, match="No space left on device"):
        write_batches(tmp_path, batches=1, readings=1_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"batches": 0}, {"batches": -1}, {"readings": 3}, {"seed": -1}, {"workers": 0}])
def test_arguments_that_make_no_batch_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        write_batches(tmp_path / "never", **{"batches": 1, **wrong})
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("batches", ["0", "-3", "many"])
def test_the_command_refuses_no_batches_as_wrong_usage(tmp_path: Path, batches: str) -> None:
    result = CliRunner().invoke(simulate, ["--batches", batches, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "--batches" in result.output


def test_the_command_says_what_is_in_the_way_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "B-0001.parquet").write_bytes(b"mine")
    result = CliRunner().invoke(simulate, ["--batches", "1", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "Nothing was written" in result.stderr
    assert "--overwrite" in result.stderr


def test_the_command_makes_the_sample_that_is_in_git(tmp_path: Path) -> None:
    result = CliRunner().invoke(simulate, [*SAMPLE_ARGUMENTS, "--out", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.startswith("Simulated 6 files: 71,991 readings, ")
    assert len(result.output.splitlines()) == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in SAMPLE.glob("*.parquet"))
    for name in names:
        assert pq.read_table(tmp_path / name).equals(pq.read_table(SAMPLE / name)), name


def test_the_sample_is_small_and_covers_sites_and_reactors() -> None:
    sample = pq.read_table(SAMPLE)
    assert sum(path.stat().st_size for path in SAMPLE.glob("*.parquet")) < 1_000_000
    assert set(sample["site"].to_pylist()) == {"Basel", "Cork"}
    assert set(sample["equipment_id"].to_pylist()) == {"BR-101", "BR-102", "BR-201"}
    assert len(set(sample["batch_id"].to_pylist())) == 6
