"""`kedro lake roles`, and runs as the writer that it makes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from tests.increments.lake import MARTS, Lake, readings

pytestmark = pytest.mark.slow
SECRETS = {"BIOREACTOR_LAKE_WRITER_PASSWORD": "wr1ter's @ secret", "BIOREACTOR_LAKE_READER_PASSWORD": "re@der-secret"}


def as_role(lake: Lake, role: str) -> str:
    password = SECRETS[f"BIOREACTOR_LAKE_{role.upper()}_PASSWORD"]
    return f"postgresql://lake_{role}:{quote(password, safe='')}@{lake.database.rpartition('@')[2]}"


def test_runs_are_the_writers_and_reading_is_the_readers(tmp_path: Path, server: str) -> None:
    lake = Lake(tmp_path / "lake", server)
    for seed in (1, 2, 3):
        lake.put(f"B-{seed}.parquet", readings(f"B-{seed}", seed))
    writer = {"BIOREACTOR_LAKE_POSTGRES_URL": as_role(lake, "writer")}
    admin = writer | {"BIOREACTOR_LAKE_POSTGRES_ADMIN_URL": lake.database} | SECRETS

    shown = lake.run_command("lake", "roles", "show", **admin)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == lake.run_command("lake", "roles", "show").stdout

    refused = lake.run_command("lake", "roles", "apply", **writer)
    assert refused.returncode == 2
    assert "BIOREACTOR_LAKE_POSTGRES_ADMIN_URL" in refused.stderr
    said = ""
    for _ in range(2):
        applied = lake.run_command("lake", "roles", "apply", **admin)
        assert applied.returncode == 0, applied.stderr
        said += applied.stdout + applied.stderr
    assert "marts.mart_bioreactor_overview  23 columns" in said, said
    for secret in SECRETS.values():
        assert secret not in shown.stdout + said
        assert quote(secret, safe="") not in shown.stdout + said

    # By the batches that are named, by all, by those that changed, as a whole.
    lake.checkpoints = None
    for arguments in (("lake", "run", "--batch", "B-1"), ("run",), ("run",), ("run", "--params", "full_refresh=true")):
        ran = lake.run_command(*arguments, **writer)
        # With named batches the tables lack others that the manifest has, which a suite says.
        assert ran.returncode == (3 if "--batch" in arguments else 0), ran.stderr
    lake.put("B-2.parquet", readings("B-2", 4))
    ran = lake.run_command("run", **writer)
    assert ran.returncode == 0, ran.stderr
    lake.assert_equals_fresh_build()
    for command in (("lake", "status"), ("lake", "plan"), ("lake", "freshness")):
        looked = lake.run_command(*command, **writer)
        assert looked.returncode in (0, 5, 6), looked.stderr

    with psycopg.connect(as_role(lake, "reader")) as reader:
        for mart in MARTS:
            assert reader.execute(f"SELECT count(DISTINCT batch_id) FROM marts.{mart}").fetchone() == (3,)
        assert reader.execute("SELECT count(DISTINCT run_id) FROM marts.mart_run_history").fetchone() == (5,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("DELETE FROM marts.mart_run_history")
    as_reader = lake.run_command("run", BIOREACTOR_LAKE_POSTGRES_URL=as_role(lake, "reader"))
    assert as_reader.returncode == 1
    assert "kedro lake roles apply" in as_reader.stderr


def test_the_embedded_server_may_have_roles_and_goes_on_as_before(tmp_path: Path, server: str) -> None:
    """Its own user, a superuser, publishes with roles and without."""
    lake = Lake(tmp_path / "lake", server)
    lake.put("B-1.parquet", readings("B-1", 1))
    lake.run()
    applied = lake.run_command("lake", "roles", "apply", BIOREACTOR_LAKE_POSTGRES_ADMIN_URL=lake.database, **SECRETS)
    assert applied.returncode == 0, applied.stderr
    lake.put("B-2.parquet", readings("B-2", 2))
    lake.run()
    lake.run(full_refresh=True)
    lake.assert_equals_fresh_build()
    with psycopg.connect(as_role(lake, "reader")) as reader:
        assert reader.execute("SELECT count(DISTINCT batch_id) FROM marts.mart_bioreactor_overview").fetchone() == (2,)
