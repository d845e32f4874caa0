"""The errors of the lake: what failed, what was kept, what to do next."""


class LakeError(Exception):
    """An error that speaks to the person who must act.

    Args:
        what: What failed, naming the file, batch, table or server.
        kept: What is still valid afterwards; empty where nothing was at stake.
        next_step: What the reader can do about it.
        plain: What failed, without values of the data, where `what` may hold some.

    >>> print(LakeError("Postgres at db:5432 refused the connection.", kept="The old marts are in place.",
    ...                 next_step="Start it and run: kedro run --pipeline marts"))
    Postgres at db:5432 refused the connection. The old marts are in place.
    Next: Start it and run: kedro run --pipeline marts
    """

    exit_code = 1

    def __init__(self, what: str, *, kept: str = "", next_step: str = "", plain: str = "") -> None:
        self.what = what
        self.kept = kept
        self.next_step = next_step
        self.plain = plain
        sentence = f"{what} {kept}".strip()
        super().__init__(f"{sentence}\nNext: {next_step}" if next_step else sentence)


class UsageError(LakeError):
    """A command that cannot be carried out as it was given."""

    exit_code = 2


class LockedError(LakeError):
    """Another process held the warehouse for longer than the configured time-out."""

    exit_code = 4


class NothingToIngest(LakeError):  # noqa: N818 - an outcome, not a fault: the run ends with exit code 0
    """No raw file could be taken in; every later layer is left as it was."""

    exit_code = 0


def find_lake_error(error: BaseException | None) -> LakeError | None:
    """The lake's own error behind Kedro's, which wraps whatever a dataset raises."""
    while error is not None and not isinstance(error, LakeError):
        error = error.__cause__ or error.__context__
    return error
