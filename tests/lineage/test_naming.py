"""Names of datasets are accepted by servers whatever paths and hosts are like, and one thing has one name."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bioreactor_lake.lineage.naming import (
    DatasetName,
    name_duckdb_table,
    name_embedded_table,
    name_postgres_table,
    name_raw_files,
)

NAMESPACE = re.compile(r"[a-zA-Z:;=/0-9_\-.@+]{1,1024}")
REFUSED = re.compile(r"[;= %~]")
paths = st.lists(st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1), min_size=1)


def confirm(name: DatasetName) -> None:
    assert NAMESPACE.fullmatch(name.namespace)
    assert not REFUSED.search(name.namespace)
    assert not re.search(r"[:#]", name.name)
    assert not name.name[:1].isdigit()
    assert "\x00" not in name.name


@given(paths)
def test_any_path_makes_names_that_servers_take(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    confirm(name_duckdb_table(path, "curated.dim_batch"))
    confirm(name_raw_files(path))
    confirm(name_embedded_table(path, "lake", "marts.m", address=("127.0.0.1", 5432)))


@given(paths, paths)
def test_two_files_have_two_namespaces(one: list[str], other: list[str]) -> None:
    names = [name_duckdb_table("/d/" + "/".join(parts), "curated.dim_batch") for parts in (one, other)]
    same = [("/d/" + "/".join(parts)) for parts in (one, other)]
    from pathlib import Path

    if Path(same[0]).resolve() != Path(same[1]).resolve():
        assert names[0].namespace != names[1].namespace


def test_ones_own_machine_has_one_name() -> None:
    spellings = ["localhost", "127.0.0.1", "::1", "LOCALHOST"]
    names = {name_postgres_table(host, 5432, "lake", "marts.m").namespace for host in spellings}
    assert names == {"postgres://localhost:5432"}
    known = name_postgres_table("10.0.0.7", 5432, "lake", "marts.m", known_as=["db.example.com"])
    assert known.namespace == "postgres://db.example.com:5432"
    assert known.aliases == (("postgres://10.0.0.7:5432", "lake.marts.m"),)


def test_the_embedded_server_keeps_its_name_when_its_port_changes() -> None:
    first = name_embedded_table("data/postgres", "lake", "marts.m", address=("127.0.0.1", 40001))
    second = name_embedded_table("data/postgres", "lake", "marts.m", address=("127.0.0.1", 40002))
    assert (first.namespace, first.name) == (second.namespace, second.name)
    assert first.aliases == (("postgres://127.0.0.1:40001", "lake.marts.m"),)


def test_a_bucket_is_named_as_others_name_it() -> None:
    name = name_raw_files("s3://lake/raw/bioreactor")
    assert (name.namespace, name.name) == ("s3://lake", "raw/bioreactor")
