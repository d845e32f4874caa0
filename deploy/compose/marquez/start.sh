#!/bin/bash
# Marquez reads its configuration's passwords from the environment only.
set -eu
MARQUEZ_DATABASE_PASSWORD=$(cat /run/secrets/marquez_password)
export MARQUEZ_DATABASE_PASSWORD
cd /usr/src/app
# shellcheck disable=SC2086
exec java ${JAVA_OPTS:-} -jar marquez-*.jar server /etc/marquez/marquez.yml
