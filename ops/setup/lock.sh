#!/usr/bin/env bash
# Writes requirements.lock: every dependency of workers and developers, for every platform, pinned with its hashes and
# without any address. Pins that still fit stay, unless --upgrade is given.
# usage: ops/setup/lock.sh PYTHON [option of uv …]
set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=ops/setup/step.sh
. ops/setup/step.sh
python=$1
shift

install_uv() {
  "$python" -m venv .cache/uv
  .cache/uv/bin/python -m pip install --disable-pip-version-check "uv>=0.9,<1"
}

write_lock() {
  .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: \
    --extra worker --group dev --generate-hashes --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links --no-emit-build-options \
    "$@" --output-file requirements.lock pyproject.toml
  pins=$(cat requirements.lock)
  printf '%s\n' "# Made by 'make lock'. Versions and hashes only: where the files come from is the machine's affair." \
    "$pins" >requirements.lock
}

[ -x .cache/uv/bin/uv ] || step "uv" install_uv
step "requirements.lock" write_lock "$@"
