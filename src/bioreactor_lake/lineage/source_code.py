"""Where the source code of a job is: read from the files of git, so that no git has to be installed."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from bioreactor_lake.lineage.facets import Facets


@dataclass(frozen=True)
class Checkout:
    """A state of a source tree.

    Args:
        root: Its folder.
        url: Of the repository, without credentials; empty where it is not known.
        commit: The commit that is checked out; empty where it is not known.
        branch: The branch, where one is checked out.
    """

    root: Path
    url: str = ""
    commit: str = ""
    branch: str = ""

    def locate(self, file: Path) -> Facets:
        """The facet that says where a file is: as a page of the repository where its host is known to have one."""
        from bioreactor_lake.lineage.facets import facet

        path = file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else file.name
        page = web_page(self.url)
        url = f"{page}/blob/{self.commit}/{quote(path)}" if page and self.commit else file.resolve().as_uri()
        return facet(
            "sourceCodeLocation",
            {
                "type": "git",
                "url": url,
                "repoUrl": self.url or None,
                "path": path,
                "version": self.commit or None,
                "branch": self.branch or None,
            },
        )


def find_checkout(folder: Path, *, url: str = "", commit: str = "") -> Checkout:
    """The checkout that a folder is part of.

    Args:
        folder: A folder of the project.
        url: The repository, where no git folder says it, as in an image.
        commit: The commit, likewise.
    """
    folder = folder.resolve()
    for root in (folder, *folder.parents):
        git = root / ".git"
        if git.is_file():
            # Of a linked worktree, which shares what is common with the main one.
            git = (root / git.read_text().removeprefix("gitdir:").strip()).resolve()
        if git.is_dir():
            common = git / "commondir"
            shared = (git / common.read_text().strip()).resolve() if common.exists() else git
            found, branch = _head(git, shared)
            return Checkout(root, without_credentials(url or _origin(shared)), commit or found, branch)
    return Checkout(folder, without_credentials(url), commit)


def without_credentials(url: str) -> str:
    """A repository's URL without user, password and token.

    >>> without_credentials("https://oauth2:glpat-x@gitlab.example/lake.git?access_token=y")
    'https://gitlab.example/lake.git'
    >>> without_credentials("git@github.com:group/lake.git")
    'git@github.com:group/lake.git'
    """
    if "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def web_page(url: str) -> str:
    """The address of a repository's pages, or nothing where there are none.

    >>> web_page("git@github.com:group/lake.git"), web_page("https://gitlab.example/lake.git"), web_page("/srv/lake")
    ('https://github.com/group/lake', 'https://gitlab.example/lake', '')
    """
    if (short := re.fullmatch(r"[\w.-]+@([\w.-]+):(?!//)(.+)", url)) is not None:
        page = f"https://{short[1]}/{short[2]}"
    elif url.startswith(("https://", "http://")):
        page = url
    elif url.startswith("ssh://"):
        parts = urlsplit(url)
        page = f"https://{parts.hostname}{parts.path}"
    else:
        return ""
    return page.rstrip("/").removesuffix(".git")


def _head(git: Path, shared: Path) -> tuple[str, str]:
    """Commit and branch; empty where there are none yet."""
    try:
        content = (git / "HEAD").read_text().strip()
        if not content.startswith("ref: "):
            return content, ""
        ref = content.removeprefix("ref: ")
        branch = ref.removeprefix("refs/heads/")
        if (shared / ref).exists():
            return (shared / ref).read_text().strip(), branch
        for line in (shared / "packed-refs").read_text().splitlines():
            if line.endswith(f" {ref}"):
                return line.partition(" ")[0], branch
    except OSError:
        return "", ""
    return "", branch


def _origin(git: Path) -> str:
    # Percent signs in a URL mean nothing to git's configuration.
    config = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        config.read(git / "config")
    except (configparser.Error, UnicodeDecodeError):
        return ""
    return config.get('remote "origin"', "url", fallback="")
