"""One expectation, read from configuration and refused where anything of it is not understood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

from bioreactor_lake.errors import UsageError
from bioreactor_lake.quality.conditions import Condition, NotUnderstood, read_condition
from bioreactor_lake.quality.verdicts import ERROR, SEVERITIES, WARN
from bioreactor_lake.quality.vocabulary import VOCABULARY, Vocable

_SEVERITY_OF = {"critical": ERROR, "warning": WARN, "info": WARN, **{word: word for word in SEVERITIES}}
_UNIQUE = ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")
_KEYS = {"type", "kwargs", "severity", "row_condition", "condition_parser", "meta", "id", "description"}
# What Great Expectations keeps of its own, and of how it reports.
_PASSED_OVER = {"notes", "rendered_content", "expectation_context", "success_on_last_run"}
_PASSED_OVER_KWARGS = {"result_format", "catch_exceptions", "batch_id"}


@dataclass(frozen=True)
class Expectation:
    """One expectation of a table.

    Args:
        id: Unique in its suite.
        type: Its type, of `VOCABULARY`.
        kwargs: Its arguments as the suite says them, the row condition included.
        severity: What a failure means: `warn`, `error` or `fatal`.
        scope: What its verdicts are about: each `batch`, or the `table`.
        condition: Which rows it is about; None for all.
    """

    id: str
    type: str
    kwargs: Mapping[str, Any]
    severity: str = ERROR
    scope: str = "batch"
    condition: Condition | None = None

    @property
    def looks_beyond_batches(self) -> bool:
        """Whether what it says of a batch depends on the rows of others."""
        if self.type == "expect_column_values_to_exist_in_other_table":
            return True
        columns = self.kwargs.get("column_list") or [self.kwargs.get("column")]
        return self.type in _UNIQUE and "batch_id" not in columns


def read_expectation(id_: str, said: Any, where: str) -> Expectation:
    """Read one expectation; `where` says for messages where it stands.

    Raises:
        UsageError: It holds something that is not supported.
    """
    if not isinstance(said, Mapping) or "type" not in said:
        raise UsageError(f"{where} has no type.", next_step="Give it a type, such as expect_column_to_exist.")
    for key in said:
        if key not in _KEYS | _PASSED_OVER:
            refuse(f"{where} has the key {key}, which means nothing.", key, _KEYS)
    if (type_ := said["type"]) not in VOCABULARY:
        refuse(f"{where} has the type {type_}, which is not supported.", type_, VOCABULARY)
    known = VOCABULARY[type_]
    given = said.get("kwargs") or {}
    if not isinstance(given, Mapping):
        raise UsageError(f"The kwargs of {where} are no mapping.", next_step="Write them as name: value.")
    # Nothing said is not the same as null for what has to be there.
    kwargs = {name: value for name, value in given.items() if name not in _PASSED_OVER_KWARGS and value is not None}
    for name in ("row_condition", "condition_parser"):
        if said.get(name) is not None:
            kwargs[name] = said[name]
    condition = _read_condition(kwargs, known, f"{type_} of {where}")
    _check_kwargs(kwargs, known, f"{type_} of {where}")
    severity = said.get("severity") or ERROR
    if severity not in _SEVERITY_OF:
        refuse(f"{where} has the severity {severity}, which means nothing.", severity, _SEVERITY_OF)
    scope = (said.get("meta") or {}).get("scope", known.scope)
    if scope not in known.scopes:
        refuse(f"{where} has the scope {scope}, which {type_} cannot have.", scope, known.scopes)
    return Expectation(id_, type_, kwargs, _SEVERITY_OF[severity], scope, condition)


def _read_condition(kwargs: dict[str, Any], known: Vocable, where: str) -> Condition | None:
    said = kwargs.get("row_condition")
    # Whichever parser is named, one reads them all.
    kwargs.pop("condition_parser", None)
    if said is None:
        return None
    if not known.conditional:
        raise UsageError(f"{where} cannot have a row_condition.", next_step="Leave it out.")
    try:
        return read_condition(said)
    except NotUnderstood as error:
        raise UsageError(
            f"The row_condition of {where} is not understood: {error}.",
            next_step="""Write it as col("tag") == "ph", tag in ["ph", "do"] and value > 3, or value.notnull().""",
        ) from error


def _check_kwargs(kwargs: Mapping[str, Any], known: Vocable, where: str) -> None:
    kinds = {**known.required, **known.optional}
    for name, value in kwargs.items():
        if name == "row_condition":
            continue
        if name not in kinds:
            refuse(f"{where} has the argument {name}, which is not supported.", name, kinds)
        if not kinds[name].fits(value):
            raise UsageError(
                f"The argument {name} of {where} is {value!r}.", next_step=f"It has to be {kinds[name].words}."
            )
    if missing := [name for name in known.required if name not in kwargs]:
        raise UsageError(
            f"{where} lacks {' and '.join(missing)}.",
            next_step="; ".join(f"{name} is {known.required[name].words}" for name in missing) + ".",
        )
    if (wrong := known.refuse(kwargs)) is not None:
        raise UsageError(f"{where} {wrong}.", next_step="Correct it.")


def fill_in(said: Any, parameters: Mapping[str, Any], where: str) -> Any:
    """Put in the suite's own parameters, which Great Expectations writes as {$PARAMETER: name}."""
    if isinstance(said, Mapping):
        if set(said) == {"$PARAMETER"}:
            if (name := said["$PARAMETER"]) not in parameters:
                refuse(f"{where} takes {name} from suite_parameters, which do not have it.", str(name), parameters)
            return parameters[name]
        return {name: fill_in(part, parameters, where) for name, part in said.items()}
    return [fill_in(part, parameters, where) for part in said] if isinstance(said, list) else said


def refuse(what: str, word: str, words: Iterable[str]) -> NoReturn:
    """Refuse a word, with those that it is near to.

    Raises:
        UsageError: Always.
    """
    known = sorted(words)
    near = get_close_matches(str(word), known, n=3, cutoff=0.5)
    step = f"Did you mean {' or '.join(near)}?" if near else f"Use one of: {', '.join(known)}."
    raise UsageError(what, next_step=step)
