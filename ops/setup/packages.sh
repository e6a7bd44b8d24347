#!/usr/bin/env bash
# Makes .venv with PYTHON and installs exactly what requirements.lock pins, each file checked by its hash.
# usage: ops/setup/packages.sh PYTHON
set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=ops/setup/step.sh
. ops/setup/step.sh
python=$1

say() { printf 'setup: %s\n' "$1" >&2; }

if ! command -v "$python" >/dev/null; then
  say "there is no $python: install Python 3.11 or newer (Debian: apt-get install python3), or name one: make PYTHON=/path/to/python"
  exit 1
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  say "$python is Python $version: 3.11 or newer is needed; name one: make PYTHON=python3.12"
  exit 1
fi
# In a shell with an active .venv, python is that environment's, which is about to be removed.
python=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')

# Debian ships Python without the module that installs pip into a virtual environment.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  package=python$version-venv
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    say "$python cannot make a virtual environment: install its venv module (Debian: sudo apt-get install $package)"
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  step "Debian's package index" apt-get update
  step "Debian's $package" apt-get install -y --no-install-recommends "$package"
fi

# uv takes a few seconds; pip takes a minute, and is used with another index, with a proxy, or if uv fails.
install_packages() {
  if [ -f ops/setup.lock ] && pip_is_as_it_comes && with_pip ops/setup.lock && with_uv requirements.lock; then
    return
  fi
  with_pip requirements.lock
}

pip_is_as_it_comes() {
  ! .venv/bin/python -m pip config list | grep -qE 'index-url|no-index|trusted-host|proxy'
}

with_pip() {
  .venv/bin/python -m pip install --disable-pip-version-check --no-input --require-hashes --only-binary=:all: -r "$1"
}

# uv leaves nothing on the machine. Bytecode is compiled on all cores.
with_uv() {
  UV_NATIVE_TLS=1 UV_HTTP_RETRIES=1 .venv/bin/uv pip install --python .venv/bin/python --no-config --no-cache --no-progress \
    --require-hashes --only-binary :all: --compile-bytecode -r "$1"
}

rm -rf .venv
step "virtual environment, Python $version" "$python" -m venv .venv
step "Python packages (about 200 MB)" install_packages
