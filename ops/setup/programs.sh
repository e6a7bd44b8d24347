#!/usr/bin/env bash
# Installs the programs that are not Python packages: a Redis with search, a browser, and for tests a Prometheus.
# Existing ones are found in well under a second.
# usage: ops/setup/programs.sh [tests]
set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=ops/setup/step.sh
. ops/setup/step.sh

status=0
step "Redis" .venv/bin/python -m worker.own_redis.build || status=$?
step "browser" .venv/bin/python -m worker.scan.browser --install || status=$?
# Only the tests of metrics and alerts need it: without it they are skipped, or fail if CI is set.
if [ "${1:-}" = tests ]; then
  step "Prometheus" ops/setup/prometheus.sh || echo "setup: continuing without Prometheus"
fi
exit "$status"
