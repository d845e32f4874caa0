"""Real receivers, and a lake whose runs know their addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from receivers import MailServer, Webhook
from tests.increments.lake import Lake, readings


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.close()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    mail = MailServer()
    yield mail
    mail.close()


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.put("B-1.parquet", readings("B-1", 1))
    yield lake
    lake.drop()
