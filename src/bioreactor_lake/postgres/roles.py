"""Roles in Postgres: an owner that nobody logs in as, a writer for the pipeline, a reader for dashboards.

The rules are in the SQL files beside this module, so that they can be read and reviewed as they are carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import psycopg

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres import data_quality, holdings, run_history, set_aside
from bioreactor_lake.postgres.mart_tables import OWNER, MartTable, comments, define_mart, definition
from bioreactor_lake.sql import quote

WRITER, READER = "lake_writer", "lake_reader"

_AS_OWNER = f"SET LOCAL ROLE {OWNER}"
_AS_BEFORE = "RESET ROLE"


def _tables_of_the_lake() -> list[str]:
    """The statements that make what is not a mart of the catalog: the lake's state, and marts that runs add to."""
    return [*holdings.DEFINITION, *run_history.definition(), *data_quality.definition(), *set_aside.definition()]


def apply_roles(connection: psycopg.Connection[Any], marts: Sequence[MartTable], passwords: Mapping[str, str]) -> None:
    """Create the roles with the least that they need, and what the owner has to make for them, marts included.

    What is there is brought up to date, in the connection's transaction, which the caller commits.

    Args:
        connection: As an administrator of the database.
        marts: The marts as they should be.
        passwords: By role; a role that is given one may log in, others stay as they are.

    Raises:
        LakeError: The administrator may not do so, or a role has rights that the lake does not need.
        psycopg.Error: As Postgres says; nothing was changed.
    """
    execute = connection.execute
    try:
        execute(_script("roles"))
        execute(_AS_OWNER)
        for statement in _tables_of_the_lake():
            execute(statement)
        for mart in marts:
            define_mart(connection, mart)
        execute(_script("rights"))
        execute(_AS_BEFORE)
        execute(_script("database_rights"))
        for role, password in passwords.items():
            # The server is told a verifier, so that the password is in none of its logs.
            verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
            execute(f"ALTER ROLE {quote(role)} LOGIN PASSWORD '{verifier.decode()}'")
    except psycopg.errors.InvalidRoleSpecification as error:
        raise LakeError(
            f"{error.diag.message_primary}.",
            kept="Nothing was changed.",
            next_step=error.diag.message_hint or "Look at the role.",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise LakeError(
            f"{connection.info.user} may not set the roles up: {error.diag.message_primary}.",
            kept="Nothing was changed.",
            next_step="Give BIOREACTOR_LAKE_POSTGRES_ADMIN_URL a superuser, or one who owns the database and what is "
            "in its schemas marts and lake, and has CREATEROLE.",
        ) from error


def spell_roles(marts: Sequence[MartTable]) -> str:
    """The SQL that `apply_roles` carries out on a database without marts, the same for the same marts."""
    tables = _tables_of_the_lake()
    for mart in marts:
        tables += [*definition(mart), *comments(mart)]
    parts = [
        "BEGIN;",
        _script("roles"),
        f"{_AS_OWNER};",
        "-- The state of the lake, its history and its marts. Of marts that are there, columns are added, dropped or\n"
        "-- given another type instead.",
        "\n".join(f"{statement};" for statement in tables),
        _script("rights"),
        f"{_AS_BEFORE};",
        _script("database_rights"),
        "COMMIT;",
        f"-- Nobody logs in as a role that has no password: \\password {WRITER} and ALTER ROLE {WRITER} LOGIN\n"
        f"-- in psql, the same for {READER}. Or let those who log in otherwise be members: GRANT {READER} TO somebody.",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _script(name: str) -> str:
    return files("bioreactor_lake.postgres").joinpath(f"{name}.sql").read_text(encoding="utf-8")
