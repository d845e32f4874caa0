"""A Superset of one's own: its processes on 127.0.0.1, and what they are told."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.locks import write_private
from bioreactor_lake.virtual_environment import variables_for_others

_START_SECONDS = 240.0
_STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Place:
    """Where a Superset of one's own keeps what it needs; only its owner can enter.

    Args:
        folder: The folder.
        settings: Where `superset_config.py` and `prepare.py` are.
    """

    folder: Path
    settings: Path

    @property
    def environment(self) -> Path:
        """Its virtual environment."""
        return self.folder / "venv"

    @property
    def browsers(self) -> Path:
        """Where Playwright looks for browsers."""
        return self.folder / "browsers"

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self.folder / "superset.log"

    @property
    def password_file(self) -> Path:
        """The password of `admin`."""
        return self.folder / "admin_password"

    def secret(self, name: str) -> str:
        """What a file of the folder holds, made at random when it is first asked for."""
        path = self.folder / name
        try:
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            made = secrets.token_urlsafe(32)
            write_private(path, f"{made}\n")
            return made

    def make(self) -> None:
        """Make the folder, for its owner only, and begin the log anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.log.unlink(missing_ok=True)


@dataclass
class LocalSuperset:
    """The processes of a Superset.

    Args:
        place: Where it keeps what it needs.
        python: Of its environment.
        port: Where it answers.
        database_url: Its own database, without the password.
        mail: Variables of `superset_config.py` about mail.
    """

    place: Place
    python: Path
    port: int
    database_url: str
    mail: Mapping[str, str] = field(default_factory=dict)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Make its tables, roles and first user.

        Raises:
            LakeError: It did not work.
        """
        command = [str(self.python), str(self.place.settings / "prepare.py")]
        with self.place.log.open("ab") as log:
            done = subprocess.run(command, env=self._variables(), stdout=log, stderr=log, check=False)  # noqa: S603
        if done.returncode:
            raise self._failed("could not be prepared")

    def start(self, *, workers: int = 2, reports: bool = False) -> None:
        """Start it, and wait until it answers.

        Args:
            workers: Processes that answer.
            reports: Whether to make reports as well, in a process of their own.

        Raises:
            LakeError: It ended, or does not answer.
        """
        bind = f"127.0.0.1:{self.port}"
        server = ["-m", "gunicorn", "--bind", bind, "--workers", str(workers), "--worker-class", "gthread"]
        self._spawn(*server, "--threads", "8", "--timeout", "120", "superset.app:create_app()")
        if reports:
            app, schedule = "--app=superset.tasks.celery_app:app", self.place.folder / "home" / "celerybeat-schedule"
            beat = ["--beat", f"--schedule={schedule}", "--pool=solo", "--loglevel=INFO", "--without-gossip"]
            self._spawn("-m", "celery", app, "worker", *beat, "--without-mingle")
        self._wait_until_it_answers()

    def ended(self) -> bool:
        """Whether one of its processes has ended."""
        return any(process.poll() is not None for process in self._processes)

    def stop(self) -> None:
        """End its processes, gently first."""
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def run_in_it(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run its Python with what its processes are told."""
        command = [str(self.python), *arguments]
        return subprocess.run(command, env=self._variables(), capture_output=True, text=True, check=False)  # noqa: S603

    def _spawn(self, *arguments: str) -> None:
        with self.place.log.open("ab") as log:
            self._processes.append(
                subprocess.Popen(  # noqa: S603 - as made above
                    [str(self.python), *arguments],
                    env=self._variables(),
                    cwd=self.place.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for us, who end it
                )
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.ended():
                raise self._failed("ended at its start")
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=30):  # noqa: S310 - http
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        raise self._failed("does not answer")

    def _variables(self) -> dict[str, str]:
        home = self.place.folder / "home"
        home.mkdir(exist_ok=True)
        given = variables_for_others("SUPERSET_CONFIG", "FLASK_")
        for name in ("secret_key", "admin_password", "database_password"):
            self.place.secret(name)
        return {
            **given,
            **self.mail,
            "HOME": str(home),
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PLAYWRIGHT_BROWSERS_PATH": str(self.place.browsers),
            "SUPERSET_CONFIG_PATH": str(self.place.settings / "superset_config.py"),
            "SUPERSET_SECRET_KEY_FILE": str(self.place.folder / "secret_key"),
            "SUPERSET_ADMIN_PASSWORD_FILE": str(self.place.password_file),
            "SUPERSET_DATABASE_URL": self.database_url,
            "SUPERSET_DATABASE_PASSWORD_FILE": str(self.place.folder / "database_password"),
            "SUPERSET_FOLDER": str(home),
            "SUPERSET_INTERNAL_URL": self.url,
        }

    def _failed(self, how: str) -> LakeError:
        lines = self.place.log.read_text(errors="replace").splitlines() if self.place.log.exists() else []
        return LakeError(
            f"Superset {how}: {' '.join(lines[-3:])[-600:]}",
            kept="The lake is as it was.",
            next_step=f"Read the end of {self.place.log}.",
        )


def choose_port(port: int) -> int:
    """A port that is free, so that nobody else is taken for the Superset that is started.

    Args:
        port: The one that is asked for; 0 for any.

    Raises:
        LakeError: Somebody answers there.
    """
    with socket.socket() as one:
        if port and one.connect_ex(("127.0.0.1", port)) == 0:
            raise LakeError(
                f"Somebody else answers on port {port}.",
                kept="Nothing was changed.",
                next_step="End that, or choose another port: --port 0 for a free one.",
            )
        if not port:
            one.bind(("127.0.0.1", 0))
        return port or int(one.getsockname()[1])


def read_mail(read: Callable[[str], str] = lambda name: os.environ.get(name, "")) -> dict[str, str]:
    """The variables about mail that are set.

    Args:
        read: Reads a variable.
    """
    names = [
        f"SUPERSET_SMTP_{name}"
        for name in ("HOST", "PORT", "USER", "PASSWORD", "PASSWORD_FILE", "FROM", "STARTTLS", "SSL")
    ]
    return {name: value for name in names if (value := read(name))}
