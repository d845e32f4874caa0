"""Suites: what is expected of a table, read from configuration and refused at start where anything is not understood.

The shape is that of Great Expectations 1.x, `{name, expectations: [{type, kwargs, severity, …}], meta}`, so that what
it exports is read as it is. Expectations may also be a mapping from their id, which lets an environment change one of
them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bioreactor_lake.errors import UsageError
from bioreactor_lake.quality.expectations import Expectation, fill_in, read_expectation, refuse
from bioreactor_lake.quality.tags import Tag

WAREHOUSE = "@warehouse"
"""What follows the name of a mart where its rows are meant as the warehouse has them."""
# Raised when the same suite begins to mean something else, so that stored verdicts are not taken for today's.
_MEANING = 1
_SUITE_KEYS = {"name", "id", "expectations", "meta", "notes", "suite_parameters", "description"}


@dataclass(frozen=True)
class Suite:
    """What is expected of one table.

    Args:
        name: Its name.
        table: The table, as the catalog names it.
        expectations: In the order of the configuration.
    """

    name: str
    table: str
    expectations: tuple[Expectation, ...]

    def fingerprint(self, tags: Mapping[str, Tag] | None = None, equipment: Iterable[str] = ()) -> str:
        """A hash that changes when a verdict could: with the expectations, and the limits and equipment they look up.

        Texts for people do not matter. It is the same in every process.

        Args:
            tags: The limits that the suite is asked with.
            equipment: The equipment that it is asked with.
        """
        said: list[Any] = [_MEANING, self.name, self.table]
        said += [[one.id, one.type, one.kwargs, one.severity, one.scope] for one in self.expectations]
        types = {one.type for one in self.expectations}
        known = [tag for _, tag in sorted((tags or {}).items())]
        if "expect_column_values_to_be_between_per_tag" in types:
            said.append([tag.limits for tag in known])
        if "expect_column_values_to_be_unit_of_tag" in types:
            said.append([[tag.name, *sorted(tag.spellings)] for tag in known])
        if "expect_share_of_known_tags_to_be_at_most" in types:
            said.append([tag.name for tag in known])
        if "expect_every_equipment_to_have_data" in types:
            said.append(sorted(equipment))
        return hashlib.sha256(json.dumps(said, default=str, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def other_tables(self) -> tuple[str, ...]:
        """The other tables that it looks at, each once."""
        names = (one.kwargs.get("other_table_name") for one in self.expectations)
        return tuple(dict.fromkeys(name for name in names if name))


def read_suites(
    config: Mapping[str, Any], tables: Sequence[str] | None = None, others: Sequence[str] = ()
) -> dict[str, Suite]:
    """Read suites.

    Args:
        config: The name of a table, as the catalog has it, to its suite.
        tables: The names of tables that can have one; None where they are not known.
        others: Names that may be compared with besides.

    Returns:
        The suites by table.

    Raises:
        UsageError: A suite holds something that is not supported; the message names the suite, the expectation and
            the key. Nothing is ever passed over.
    """
    suites = {}
    for table, content in config.items():
        where = f"conf/*/suites/{table}"
        if tables is not None and table not in tables:
            refuse(f"{where} is the suite of no table.", table, tables)
        suites[table] = read_suite(table, content, where)
        for other in suites[table].other_tables:
            if other.endswith(WAREHOUSE) and other.removesuffix(WAREHOUSE) != table:
                refuse(
                    f"{where} names {other}, which only its own suite can be compared with.", other, [table + WAREHOUSE]
                )
            if tables is not None and other.removesuffix(WAREHOUSE) not in (*tables, *others):
                refuse(f"{where} names the table {other}, which there is not.", other, [*tables, *others])
    return suites


def read_suite(table: str, content: Any, where: str) -> Suite:
    """Read the suite of one table; `where` says for messages where it stands.

    Raises:
        UsageError: It holds something that is not supported.
    """
    if not isinstance(content, Mapping) or "expectations" not in content:
        raise UsageError(f"{where} has no expectations.", next_step="Write them under the key expectations.")
    for key in content:
        if key not in _SUITE_KEYS:
            refuse(f"{where} has the key {key}, which means nothing.", key, _SUITE_KEYS)
    parameters = content.get("suite_parameters") or {}
    keyed = key_expectations(content["expectations"], where)
    expectations = tuple(
        read_expectation(id_, fill_in(one, parameters, f"{where}, expectation {id_}"), f"{where}, expectation {id_}")
        for id_, one in keyed.items()
        if one is not None
    )
    return Suite(str(content.get("name") or table), table, expectations)


def key_expectations(listed: Any, where: str) -> dict[str, Any]:
    """Expectations by their id, from a mapping or from a list; those without one are called after what they expect.

    Raises:
        UsageError: It is neither, or an id is there twice.
    """
    if isinstance(listed, Mapping):
        return {str(id_): one for id_, one in listed.items()}
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise UsageError(f"The expectations of {where} are no list and no mapping.", next_step="List them.")
    found: dict[str, Any] = {}
    for one in listed:
        if not isinstance(one, Mapping) or "type" not in one:
            raise UsageError(f"{where} lists an expectation without a type.", next_step="Give each a type.")
        id_ = str(one["id"]) if one.get("id") else _call(one, found)
        if id_ in found:
            raise UsageError(f"{where} has two expectations with the id {id_}.", next_step="Give one another id.")
        found[id_] = one
    return found


def _call(one: Mapping[str, Any], taken: Mapping[str, Any]) -> str:
    kwargs = one.get("kwargs")
    kwargs = kwargs if isinstance(kwargs, Mapping) else {}
    named = [kwargs[name] for name in ("column", "column_A", "column_B", "column_list") if kwargs.get(name)]
    columns = [name for part in named for name in ([part] if isinstance(part, str) else part)]
    name = f"{one['type']}({', '.join(map(str, columns))})" if columns else str(one["type"])
    numbered = (name if number == 1 else f"{name} #{number}" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in numbered if candidate not in taken)
