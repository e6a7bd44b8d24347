#!/usr/bin/env bash
# Installs the project itself into .venv, editable. The build backend is there already: nothing is downloaded.
set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=ops/setup/step.sh
. ops/setup/step.sh

step "Sightline" .venv/bin/python -m pip install \
  --disable-pip-version-check --no-input --no-build-isolation --no-deps --no-index -e .
