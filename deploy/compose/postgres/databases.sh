#!/bin/sh
# Databases of the other services, made when the server is. Passwords come from files, and go to psql by its input.
set -eu
for name in marquez superset; do
    password=$(cat "/run/secrets/${name}_password")
    psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<SQL
CREATE ROLE $name LOGIN PASSWORD '$password';
CREATE DATABASE $name OWNER $name;
SQL
done
