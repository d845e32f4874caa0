"""Superset's tables, its roles and its first user; whatever is there already stays. Run with Superset's Python.

The user's name is in SUPERSET_ADMIN_USER (admin), its password in SUPERSET_ADMIN_PASSWORD or in the file that
SUPERSET_ADMIN_PASSWORD_FILE names: a command line could be read by every process.
"""

from __future__ import annotations

import os
from pathlib import Path

from flask_migrate import upgrade
from superset.app import create_app


def _password() -> str:
    path = os.environ.get("SUPERSET_ADMIN_PASSWORD_FILE")
    return Path(path).read_text(encoding="utf-8").rstrip("\r\n") if path else os.environ["SUPERSET_ADMIN_PASSWORD"]


def main() -> None:
    """Bring the metadata database up to date, and let an administrator in."""
    app = create_app()
    with app.app_context():
        import superset

        upgrade(directory=str(Path(superset.__file__).parent / "migrations"))
        app.appbuilder.add_permissions(update_perms=True)
        security = app.appbuilder.sm
        security.sync_role_definitions()
        name = os.environ.get("SUPERSET_ADMIN_USER", "admin")
        if security.find_user(name) is None:
            security.add_user(
                name, "Lake", "Admin", f"{name}@localhost", security.find_role("Admin"), password=_password()
            )


if __name__ == "__main__":
    main()
