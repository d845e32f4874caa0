"""File profiles as a dataset: one YAML file each, read when there is a file to read by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from bioreactor_lake.errors import LakeError, UsageError

if TYPE_CHECKING:
    from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile


class ProfilesDataset(AbstractDataset[None, Callable[[], "Mapping[str, Profile]"]]):
    """The profiles of the project.

    Args:
        folders: Where they are; what a later folder says of a profile stands in place of what an earlier one does.
        metadata: For Kedro-Viz.
    """

    def __init__(self, *, folders: Sequence[str], metadata: dict[str, Any] | None = None) -> None:
        self._folders = tuple(folders)
        self.metadata = metadata

    def load(self) -> Callable[[], Mapping[str, Profile]]:
        """What reads the profiles, by name."""
        return self._read

    def save(self, data: None) -> None:
        """Refused: people write profiles.

        Raises:
            LakeError: Always.
        """
        raise LakeError("Profiles are never written by a node.", next_step="Write a file in conf/base/profiles.")

    def _read(self) -> dict[str, Profile]:
        import yaml

        from bioreactor_lake.pipelines.ingestion.profiles.profile_yaml import read_profile

        found: dict[str, Any] = {}
        for folder in self._folders:
            for path in sorted(Path(folder).glob("*.yml")):
                try:
                    content = yaml.load(path.read_text(encoding="utf-8"), _loader(yaml))  # noqa: S506 - a safe one
                except (OSError, UnicodeError, yaml.YAMLError) as error:
                    raise UsageError(
                        f"The profile {path} cannot be read: {error}.", kept="No landed file was read."
                    ) from error
                before = found.get(path.stem)
                found[path.stem] = _merge(before, content) if before is not None else content
        return {name: read_profile(name, content) for name, content in sorted(found.items())}

    def _describe(self) -> dict[str, Any]:
        return {"folders": self._folders}


def _loader(yaml: Any) -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _merge(base: Any, change: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        return {**base, **{key: _merge(base.get(key), value) for key, value in change.items()}}
    return change
