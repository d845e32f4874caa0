"""The file of events: strict lines, whole under any number of processes and crashes, and never a run's problem."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bioreactor_lake.lineage.delivery.emitter import Emitter
from bioreactor_lake.lineage.delivery.journal import Journal, to_line


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def read(path: Path) -> list[dict]:
    return [json.loads(line, parse_constant=no_constant) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_databases_refuse_does_not_get_in() -> None:
    surrogate = os.fsdecode(b"B-\xff.parquet")
    line = to_line(
        {
            "nan\0": [math.nan, math.inf, -math.inf, 1.5],
            "text": "a\0b\u2028c\x85d\ne µ",
            "file": surrogate,
            "set": ("x",),
            "path": Path("/raw"),
            "rows": 10**20,
            "yes": True,
        }
    )
    assert len(line.splitlines()) == 1
    line.encode("utf-8")
    assert "\\u0000" not in line
    assert "µ" in line
    assert json.loads(line, parse_constant=no_constant) == {
        "nan": [None, None, None, 1.5],
        "text": "ab\u2028c\x85d\ne µ",
        "file": "B-?.parquet",
        "set": ["x"],
        "path": "/raw",
        "rows": 10**20,
        "yes": True,
    }


def test_events_go_to_the_file_alone_and_the_client_is_not_imported(emit, journal) -> None:
    said = emit({}, count=3)
    assert said["notices"] == []
    assert not {"openlineage", "sqlite3", "subprocess", "yaml", "requests"} & set(said["modules"])
    assert [event["job"]["name"] for event in read(journal)] == ["marts.0", "marts.1", "marts.2"]
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]


def test_the_client_turned_off_is_lineage_turned_off(emit, journal) -> None:
    config = {"transport": {"type": "http", "url": "http://127.0.0.1:9"}}
    said = emit(config, OPENLINEAGE_DISABLED=" True ")
    assert said["notices"] == []
    assert not {"openlineage", "sqlite3", "subprocess"} & set(said["modules"])
    assert not journal.parent.exists()


def test_no_file_is_written_where_none_is_wanted(emit, journal) -> None:
    assert emit({"file": None})["notices"] == []
    assert not journal.parent.exists()


def test_a_torn_line_swallows_no_event(tmp_path) -> None:
    path = tmp_path / "events.jsonl"
    Journal(path).append(to_line({"number": 1}))
    with path.open("a") as file:
        file.write('{"number": 2, "na')
    Journal(path).append(to_line({"number": 3}))
    Journal(path).append(to_line({"number": 4}))
    first, torn, third, fourth = path.read_text().splitlines()
    assert [json.loads(line)["number"] for line in (first, third, fourth)] == [1, 3, 4]
    assert torn == '{"number": 2, "na'


def test_processes_do_not_mix_their_lines(start_emitting, journal) -> None:
    processes = [start_emitting({}, first=1000 * number, count=300) for number in range(3)]
    for process in processes:
        process.communicate(timeout=60)
    numbers = [int(event["job"]["name"].rpartition(".")[2]) for event in read(journal)]
    assert sorted(numbers) == sorted(1000 * number + each for number in range(3) for each in range(300))
    for number in range(3):
        own = [each for each in numbers if each // 1000 == number]
        assert own == sorted(own)


@pytest.mark.parametrize("broken", ["a file in the way", "a full disk"])
def test_a_file_that_cannot_be_written_is_said_once_and_fails_nothing(broken, root) -> None:
    if broken == "a full disk":
        config, reason = {"file": "/dev/full"}, "No space left on device"
    else:
        (root / "data").write_text("not a folder")
        config, reason = {}, "Not a directory"
    emitter = Emitter(config, root)
    for number in range(5):
        emitter.emit({"number": number})
    (notice,) = emitter.close()
    assert "5 lineage events are not in" in notice
    assert reason in notice


def test_a_full_disk_leaves_no_piece_of_a_line(tmp_path) -> None:
    """A file that may grow by a little only, as on a disk that fills up in the middle of an event."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from bioreactor_lake.lineage.delivery.journal import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = Journal(Path(sys.argv[1])); journal.append('{\"number\": 1}')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: journal.append('{\"text\": \"' + 'x' * 500 + '\"}')\n"
        "except OSError: print('failed')\n"
        "journal.append('{\"number\": 2}')\n"
    )
    path = tmp_path / "events.jsonl"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "src")},
        check=True,
    )
    assert ended.stdout == "failed\n"
    assert [event["number"] for event in read(path)] == [1, 2]


def test_what_json_cannot_hold_is_left_out_and_said(root) -> None:
    emitter = Emitter({}, root)
    endless: dict = {}
    endless["self"] = endless
    emitter.emit(endless)
    emitter.emit({"number": 1})
    (notice,) = emitter.close()
    assert notice.startswith("1 lineage event is left out")
    assert len(read(root / "data/lineage/events.jsonl")) == 1
