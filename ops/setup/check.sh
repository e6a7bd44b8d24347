#!/usr/bin/env bash
# The checks of `make check`. All of them run, so that one run shows every problem.
set -u
cd "$(dirname "$0")/../.." || exit 1
bin=.venv/bin
failed=()

# check WHAT COMMAND…: run COMMAND; show its output only if it fails.
check() {
  local what=$1 said
  shift
  if said=$("$@" 2>&1 </dev/null); then
    printf 'check: %-22s ok\n' "$what"
  else
    printf 'check: %-22s FAILED\n%s\n' "$what" "$said"
    failed+=("$what")
  fi
}

# The pattern of an address is written so that it does not match this file.
no_addresses() {
  local found=0
  grep -nHE '[:]//|--(extra-)?index[-]url|--find[-]links' \
    requirements.lock ops/*.lock ops/Dockerfile pyproject.toml Makefile .ci/run ops/setup/*.sh || found=$?
  [ "$found" -eq 1 ] # 1 is none; 2 is that a file could not be read
}

shell_files() {
  grep -rlE '^#!.*\b(ba)?sh$|^# shellcheck shell=' .ci ops | sort
}

check "lint" "$bin/ruff" check .
check "format" "$bin/ruff" format --check .
check "types" "$bin/basedpyright" --pythonpath "$bin/python"
check "import contracts" "$bin/lint-imports" --no-cache
mapfile -t shell < <(shell_files)
check "shell" "$bin/shellcheck" --external-sources "${shell[@]}"
check "no addresses" no_addresses
check "deployment files" env PYTHONPATH=. "$bin/python" ops/setup/deployment.py

if [ "${#failed[@]}" -gt 0 ]; then
  printf 'check: failed: %s\n' "$(IFS=,; echo "${failed[*]}")"
  exit 1
fi
