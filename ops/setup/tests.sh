#!/usr/bin/env bash
# Runs the tests: with arguments, pytest with these; without, all of them in parallel, and then those that need the
# machine to themselves.
# usage: ops/setup/tests.sh [argument of pytest …]
set -u
cd "$(dirname "$0")/../.." || exit 1
pytest=(.venv/bin/python -m pytest)

if [ $# -gt 0 ]; then
  exec "${pytest[@]}" "$@"
fi
status=0
# In a clean clone the tests are compiled once before they run, or each process would compile all of them.
if [ -z "$(find tests/unit -name '*.pyc' -print -quit)" ]; then
  "${pytest[@]}" tests/unit --collect-only -qq >/dev/null 2>&1 &
  "${pytest[@]}" tests --ignore tests/unit --collect-only -qq >/dev/null 2>&1 || true  # the run itself says what is wrong
  wait
fi
"${pytest[@]}" tests -m "not alone" --numprocesses auto --dist loadgroup --durations 20 || status=$?
mapfile -t alone < <(grep -rl --include='test_*.py' 'pytest\.mark\.alone' tests)  # or all are collected once more
"${pytest[@]}" "${alone[@]}" -m alone || status=$?
exit "$status"
