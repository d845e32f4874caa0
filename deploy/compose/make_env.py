"""Make what compose.yaml needs: random passwords as files in .secrets/, and .env for settings.

Only the owner can enter the folder; the files in it can be read, because containers see them as they are and none runs
as their owner. What is there already is never changed.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

_SETTINGS = """\
# Settings of compose.yaml; passwords are in .secrets/. Without the sign of a comment they are in force.
# BIOREACTOR_LAKE_ZONE=Europe/Zurich
# BIOREACTOR_LAKE_NIGHTLY=02:00
# BIOREACTOR_LAKE_DEADLINE=02:15
# BIOREACTOR_LAKE_RAW_FOLDER=/srv/bioreactor
# With landed files, which become raw files; without a folder they are in the volume landing:
# BIOREACTOR_LAKE_RAW_MODE=rw
# BIOREACTOR_LAKE_LANDING_FOLDER=/srv/landing
# KEDRO_ENV=prod
# With the profile dashboards, for the 08:00 report and the alert; the password goes into .secrets/smtp_password:
# SUPERSET_MAIL_TO=team@example.com
# SUPERSET_SMTP_HOST=smtp.example.com
# SUPERSET_SMTP_USER=lake
# SUPERSET_SMTP_FROM=lake@example.com
# With the profile lineage:
# OPENLINEAGE_URL=http://marquez:5000
# With the profile s3:
# BIOREACTOR_LAKE_RAW=s3://raw/bioreactor
# BIOREACTOR_LAKE_LANDING=s3://raw/landing
# AWS_ENDPOINT_URL=http://minio:9000
"""
_RANDOM = (
    "marquez_password",
    "minio_password",
    "postgres_password",
    "raw_secret",
    "reader_password",
    "redis_password",
    "smtp_password",
    "superset_admin_password",
    "superset_password",
    "superset_secret_key",
)


def make(folder: Path) -> list[Path]:
    """Make what is missing in a project's folder; the paths that were made."""
    hidden = folder / ".secrets"
    hidden.mkdir(mode=0o700, exist_ok=True)
    made = [path for name in _RANDOM if _write(path := hidden / name, secrets.token_urlsafe(32), 0o444)]
    password = (hidden / "postgres_password").read_text().strip()
    # Letters, digits, - and _ need no quotes in a URL.
    told = {
        "postgres_url": f"postgresql://lake:{password}@postgres:5432/lake",
        "minio_user": "lake-admin",
        "raw_key": "lake",
    }
    made += [path for name, text in told.items() if _write(path := hidden / name, text, 0o444)]
    if _write(path := folder / ".env", _SETTINGS, 0o600):
        made.append(path)
    return made


def _write(path: Path, text: str, mode: int) -> bool:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(text if text.endswith("\n") else f"{text}\n")
    path.chmod(mode)  # whatever the umask is
    return True


def main() -> None:
    """Make what is missing, and say so."""
    made = make(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    sys.stdout.write("".join(f"Wrote {path}.\n" for path in made) or "All is there already; nothing was changed.\n")


if __name__ == "__main__":
    main()
