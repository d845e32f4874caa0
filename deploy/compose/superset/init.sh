#!/bin/bash
# Superset's tables, its roles and its first user. Each step may be repeated.
set -eu
superset db upgrade
superset init
# Not by `superset fab create-admin`, which takes the password on its command line.
python - <<'PYTHON'
from pathlib import Path

from superset.app import create_app

app = create_app()
with app.app_context():
    security = app.appbuilder.sm
    if security.find_user("admin") is None:
        password = Path("/run/secrets/superset_admin_password").read_text().rstrip("\n")
        security.add_user("admin", "Lake", "Admin", "admin@localhost", security.find_role("Admin"), password=password)
PYTHON
