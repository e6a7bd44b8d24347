#!/usr/bin/env bash
# Puts Debian's prometheus and promtool into .cache/prometheus, for the tests of metrics and alerts. Unpacked, not
# installed: no service starts, and root is not needed if the package index exists already.
set -eu
cd "$(dirname "$0")/../.."
target=.cache/prometheus

if [ -x "$target/usr/bin/promtool" ]; then exit 0; fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "this is not Debian: put prometheus and promtool on the PATH" >&2
  exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
if ! (cd "$folder" && apt-get download prometheus); then
  if [ "$(id -u)" -ne 0 ]; then
    echo "the package index is missing: run 'sudo apt-get update', or put prometheus and promtool on the PATH" >&2
    exit 1
  fi
  apt-get update
  (cd "$folder" && apt-get download prometheus)
fi
dpkg-deb -x "$folder"/prometheus_*.deb "$folder/root"
mkdir -p .cache
rm -rf "$target"
mv "$folder/root" "$target"
