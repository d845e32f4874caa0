#!/bin/sh
# Cron as an ordinary user: the nightly run, and the look whether it was in time. The zone and the times come from the
# environment. Only exit codes 1 and 4 are worth another try: 2 is a mistake, 3 is done with batches held.
set -eu
zone=${BIOREACTOR_LAKE_ZONE:-UTC}
start=${BIOREACTOR_LAKE_NIGHTLY:-02:00}
deadline=${BIOREACTOR_LAKE_DEADLINE:-02:15}
fields() { # of cron, for HH:MM
    hour=${1%:*} minute=${1#*:}
    echo "${minute#0} ${hour#0} * * *"
}
mkdir -p /tmp/cron
cat > /tmp/cron/nightly.yaml <<YAML
web:
  listen:
    - http://127.0.0.1:8010
defaults:
  timezone: $zone
  concurrencyPolicy: Forbid
  captureStdout: false
  captureStderr: false
  killTimeout: 10
jobs:
  - name: nightly
    schedule: "$(fields "$start")"
    command: |
      BIOREACTOR_LAKE_NOMINAL_TIME=\$(date -u +%Y-%m-%dT%H:%M:00+00:00)
      export BIOREACTOR_LAKE_NOMINAL_TIME
      kedro run
      code=\$?
      echo "The nightly run ended with \$code."
      case \$code in 1 | 4) exit \$code ;; esac
    onFailure:
      retry:
        maximumRetries: 3
        initialDelay: 60
        maximumDelay: 600
        backoffMultiplier: 2
  - name: deadline
    schedule: "$(fields "$deadline")"
    command: kedro lake freshness --deadline $deadline --start $start --zone $zone
YAML
echo "Every night at $start in $zone, and a look at $deadline whether it was in time."
exec /opt/cron/bin/yacron --config /tmp/cron
