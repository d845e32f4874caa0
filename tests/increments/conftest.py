"""One Postgres server for the tests of this folder."""

from collections.abc import Iterator

import pytest

from bioreactor_lake.postgres.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedServer(tmp_path_factory.mktemp("postgres"), options={"fsync": "off"}) as url:
        yield url
