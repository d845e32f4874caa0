"""Secrets that are files: the variable with _FILE at its end names them."""

from pathlib import Path

import pytest

from bioreactor_lake.environment import read_secret
from bioreactor_lake.errors import UsageError

NAME = "BIOREACTOR_LAKE_TEST_SECRET"


def test_a_secret_is_the_variable_or_what_its_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_secret(NAME) == ""
    file = tmp_path / "secret"
    file.write_text("s3cret \n")
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    assert read_secret(NAME) == "s3cret "
    monkeypatch.setenv(f"{NAME}_FILE", "")
    monkeypatch.setenv(NAME, "other")
    assert read_secret(NAME) == "other"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read: No such file"), (b"", "is empty"), (b"\xff\xfes3cret", "is no text")]
)
def test_a_file_that_gives_no_secret_is_refused(
    content: bytes | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    with pytest.raises(UsageError, match=words) as refused:
        read_secret(NAME)
    assert "s3cret" not in str(refused.value)
    monkeypatch.setenv(NAME, "other")
    with pytest.raises(UsageError, match="Both"):
        read_secret(NAME)
