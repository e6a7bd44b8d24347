#!/usr/bin/env bash
# Makes sure of the two programs that are no Python packages: a Redis with search, and a browser. What is there
# already is found in well under a second.
set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=ops/setup/step.sh
. ops/setup/step.sh

status=0
step "Redis" .venv/bin/python -m worker.embedded --fetch || status=$?
step "browser" .venv/bin/python -m worker.scan.browser --install || status=$?
exit "$status"
