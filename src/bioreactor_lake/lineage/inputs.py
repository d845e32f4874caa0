"""The inputs of values and relations, and how they add up on the way to an output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bioreactor_lake.lineage.origins import ColumnOrigin, Subtype
from bioreactor_lake.lineage.wording import without_parentheses

Sources = Mapping[tuple[str, str, Subtype], str]
"""Table, column and part of each input. With it the condition or key of one that only decides; for one that gives
values nothing, or its expression where that is not the one of the output (a branch of a union)."""


@dataclass(frozen=True)
class Value:
    """What is known of a value: its inputs, its text for people, and its name where it is a column."""

    sources: Sources
    text: str
    name: str = ""


@dataclass(frozen=True)
class Relation:
    """What is known of a relation: its columns, and what decides which rows it has."""

    columns: Mapping[str, Value]
    rows: Sources


def merge(*sources: Sources) -> Sources:
    """Inputs of several values; of two texts for one input, the first."""
    merged: dict[tuple[str, str, Subtype], str] = {}
    for one in sources:
        merged |= {key: text for key, text in one.items() if key not in merged}
    return merged


def step(part: Subtype, *sources: Sources) -> Sources:
    """Inputs of values after a step that plays a part in the output."""
    return {
        (table, column, part.after(earlier)): "" if earlier.is_direct else text
        for (table, column, earlier), text in merge(*sources).items()
    }


def decide(part: Subtype, inputs: Any) -> Sources:
    """Inputs of values that only decide about an output, with the value's text as the reason."""
    return merge(
        *(dict.fromkeys(step(part, value.sources), without_parentheses(value.text)) for value in values_of(inputs))
    )


def decided(given: Sources, *by: Sources) -> Sources:
    """Inputs of a value with those that decide about it; of two reasons for one input, that of the last step."""
    return merge(only(given, direct=True), *by, given)


def only(sources: Sources, *, direct: bool) -> Sources:
    """Those inputs that give values, or those that only decide."""
    return {key: text for key, text in sources.items() if key[2].is_direct == direct}


def settle(value: Value) -> Sources:
    """Inputs of a value that is one of several for its output: they keep its expression."""
    expression = without_parentheses(value.text)
    return {key: text or expression for key, text in value.sources.items()}


def values_of(inputs: Any) -> Iterator[Value]:
    """The values in a nest of mappings and tuples, in order; relations and plain arguments are passed over."""
    if isinstance(inputs, Value):
        yield inputs
    elif isinstance(inputs, Mapping):
        yield from values_of(tuple(inputs.values()))
    elif isinstance(inputs, tuple):
        for one in inputs:
            yield from values_of(one)


def sources_of(inputs: Any) -> list[Sources]:
    """The inputs of each of them."""
    return [value.sources for value in values_of(inputs)]


def origins_of(sources: Sources, expression: str = "") -> tuple[ColumnOrigin, ...]:
    """The same for readers: an input without a text of its own takes that of the output."""
    return tuple(ColumnOrigin(*key, text or expression) for key, text in sources.items())
