"""Where the source code of a job is, as git's files say it, without what is secret in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bioreactor_lake.lineage.source_code import find_checkout, without_credentials


def git(folder: Path, *arguments: str) -> str:
    name = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "lake project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "nodes.py").write_text("pass\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Begin")
    git(folder, "remote", "add", "origin", "https://ci:t0ken%40x@git.example.com/bio/lake.git")
    return folder


def test_a_checkout_says_repository_commit_and_page(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    facet = find_checkout(repository).locate(repository / "nodes.py")["sourceCodeLocation"]
    assert facet["url"] == f"https://git.example.com/bio/lake/blob/{commit}/nodes.py"
    assert facet["repoUrl"] == "https://git.example.com/bio/lake.git"
    assert (facet["version"], facet["branch"], facet["path"]) == (commit, "main", "nodes.py")


@pytest.mark.parametrize("how", ["packed", "worktree", "detached"])
def test_every_kind_of_checkout_is_read(repository: Path, tmp_path: Path, how: str) -> None:
    commit, folder = git(repository, "rev-parse", "HEAD"), repository
    if how == "packed":
        git(repository, "pack-refs", "--all")
    elif how == "worktree":
        folder = tmp_path / "other"
        git(repository, "worktree", "add", "-q", "-b", "side", str(folder))
    else:
        git(repository, "checkout", "-q", "--detach")
    found = find_checkout(folder)
    assert (found.commit, found.url) == (commit, "https://git.example.com/bio/lake.git")
    assert found.branch == {"packed": "main", "worktree": "side", "detached": ""}[how]


def test_an_image_without_git_says_what_it_was_told(tmp_path: Path) -> None:
    found = find_checkout(tmp_path, url="https://x:y@git.example.com/bio/lake", commit="abc")
    assert found.locate(tmp_path / "a.py")["sourceCodeLocation"]["url"] == (
        "https://git.example.com/bio/lake/blob/abc/a.py"
    )
    unknown = find_checkout(tmp_path).locate(tmp_path / "a.py")["sourceCodeLocation"]
    assert unknown["url"] == (tmp_path / "a.py").as_uri()
    assert "version" not in unknown


@pytest.mark.parametrize("url", ["https://t@h/x.git", "ssh://u:p@h:22/x", "https://h/x?private_token=p"])
def test_no_url_keeps_credentials(url: str) -> None:
    assert not {"t@", "u:p", "=p"} & {part for part in ("t@", "u:p", "=p") if part in without_credentials(url)}
