#!/usr/bin/env bash
# Installs the project itself into .venv, editable. The build backend is installed already: nothing is downloaded.
set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=ops/setup/step.sh
. ops/setup/step.sh

# Before decision 0030 the distribution was named like its command; if it stayed, each command would exist twice.
.venv/bin/python -m pip uninstall --disable-pip-version-check --quiet --yes sightline 2>/dev/null || true
step "Sightline" .venv/bin/python -m pip install \
  --disable-pip-version-check --no-input --no-build-isolation --no-deps --no-index -e .
