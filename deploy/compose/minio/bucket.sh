#!/bin/sh
# The bucket of the raw files, and the user that the lake reads it as.
set -eu
secret() { cat "/run/secrets/$1"; }
export MC_HOST_lake="http://$(secret minio_user):$(secret minio_password)@minio:9000"
mc mb --ignore-existing lake/raw
mc admin user add lake <<USER
$(secret raw_key)
$(secret raw_secret)
USER
policy=readonly
[ "${MODE:-ro}" != rw ] || policy=readwrite # landed files become raw files
mc admin policy attach lake "$policy" --user "$(secret raw_key)" || true # it may be attached already
