#!/usr/bin/env bash
# Writes requirements.lock: every dependency of workers and developers, for every platform, pinned with its hashes and
# without any address. Pins that still fit are kept, unless --upgrade is given.
# usage: ops/setup/lock.sh PYTHON [option of uv …]
set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=ops/setup/step.sh
. ops/setup/step.sh
python=$1
shift

install_uv() {
  "$python" -m venv .cache/uv
  .cache/uv/bin/python -m pip install --disable-pip-version-check --require-hashes -r ops/setup.lock
}

# write_lock FILE [option of uv, or a source …]
write_lock() {
  local file=$1 pins
  shift
  .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: \
    --generate-hashes --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links --no-emit-build-options \
    "$@" --output-file "$file"
  pins=$(cat "$file")
  printf '%s\n' "# Made by 'make lock'. Versions and hashes only: where the files come from is the machine's affair." \
    "$pins" >"$file"
}

[ -x .cache/uv/bin/uv ] || step "uv" install_uv
step "requirements.lock" write_lock requirements.lock pyproject.toml --extra worker --extra web --extra cloud --group dev "$@"
# The packages of the images: the same versions, without the developers' tools. setuptools builds the project itself.
step "ops/worker.lock" write_lock ops/worker.lock pyproject.toml --extra worker --extra web --extra cloud --group build --constraint requirements.lock
step "ops/producer.lock" write_lock ops/producer.lock pyproject.toml --group build --constraint requirements.lock
# The packages that build the documentation, without the project's.
step "ops/docs.lock" write_lock ops/docs.lock --group docs "$@"
# The packages that install requirements.lock.
step "ops/setup.lock" write_lock ops/setup.lock --group setup "$@"
