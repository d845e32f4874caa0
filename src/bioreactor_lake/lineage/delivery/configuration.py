"""What people configure of lineage events, and whether they are sent anywhere beyond the file.

Imports nothing that a run without transports must not pay for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from bioreactor_lake.errors import UsageError

FILE = "data/lineage/events.jsonl"
SECONDS = 1.5


class EmitterConfig(TypedDict, total=False):
    """How lineage events leave a run: the part of `conf/base/openlineage.yml` that is about delivery.

    Args:
        file: The file that every event is appended to; a relative path lies under the project. None for no file.
        transport: What the OpenLineage client calls `transport`; empty for what its own files and variables say.
        seconds: How long the end of a run waits for events that are still being sent.
    """

    file: str | None
    transport: dict[str, Any]
    seconds: float


def read_configuration(loader: Any) -> dict[str, Any]:
    """All of `openlineage.yml` as Kedro's config loader finds it; empty where a project has none.

    Args:
        loader: Kedro's config loader.

    Raises:
        UsageError: It cannot be read.
    """
    from kedro.config import MissingConfigException

    try:
        return dict(loader["openlineage"])
    except (KeyError, MissingConfigException):
        return {}
    except Exception as error:  # YAML's, OmegaConf's and Kedro's have nothing in common
        sentence = str(error).strip().splitlines()[0]
        raise UsageError(
            f"openlineage.yml cannot be read: {sentence}", next_step="Correct it in conf/base or in the environment's."
        ) from error


def journal_path(config: EmitterConfig, root: Path) -> Path | None:
    """The file that every event is appended to, or None where none is wanted."""
    file = config.get("file", FILE)
    return root / file if file else None


def outbox_folder(config: EmitterConfig, root: Path) -> Path:
    """Where the events lie that are not sent yet: beside the file."""
    return (journal_path(config, root) or root / FILE).parent


def seconds_to_wait(config: EmitterConfig) -> float:
    """How long the end of a run waits for events on their way; the default where no number is configured."""
    try:
        return max(0.0, float(config.get("seconds", SECONDS)))
    except (TypeError, ValueError):
        return SECONDS


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Whether lineage is turned off, by the rule of the OpenLineage client."""
    return environ.get("OPENLINEAGE_DISABLED", "").lower().strip() == "true"


def transports_configured(config: EmitterConfig, environ: Mapping[str, str], cwd: Path) -> bool:
    """Whether events go anywhere beyond the file, told without the OpenLineage client.

    Args:
        config: What the project configures.
        environ: The environment variables.
        cwd: The folder in which the client would look for its `openlineage.yml`.
    """
    if is_disabled(environ):
        return False
    if config.get("transport") or environ.get("OPENLINEAGE_URL"):
        return True
    if any(name.startswith("OPENLINEAGE__TRANSPORT") for name in environ):
        return True
    file = client_file(environ, cwd)
    return file is not None and bool(transport_of_file(file))


def client_file(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The configuration file that the OpenLineage client would take, or None."""
    named = environ.get("OPENLINEAGE_CONFIG")
    home = environ.get("HOME") or Path("~").expanduser()
    places = (
        cwd / named if named else None,
        cwd / "openlineage.yml",
        Path(home, ".openlineage", "openlineage.yml"),
    )
    return next((place for place in places if place and place.is_file()), None)


def transport_of_file(file: Path) -> Any:
    """What a configuration file of the client says of transports.

    A file that cannot be read is taken for one that has some: whoever wrote it meant something by it.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return "unreadable"
    return content.get("transport") if isinstance(content, dict) else None
