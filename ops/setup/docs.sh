#!/usr/bin/env bash
# Builds the documentation in site/, with the pins of ops/docs.lock in a separate environment.
# usage: ops/setup/docs.sh PYTHON
set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=ops/setup/step.sh
. ops/setup/step.sh
python=$1
tools=.cache/docs/tools

install_tools() {
  rm -rf "$tools"
  "$python" -m venv "$tools"
  "$tools/bin/python" -m pip install --disable-pip-version-check --no-input --require-hashes --only-binary=:all: -r ops/docs.lock
  cp ops/docs.lock "$tools/docs.lock"
}

cmp --silent ops/docs.lock "$tools/docs.lock" || step "documentation tools" install_tools
"$tools/bin/python" ops/docs/build.py
