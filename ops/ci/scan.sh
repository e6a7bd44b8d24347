#!/usr/bin/env bash
# Scans a site from a pipeline without any service; the exit code is that of `sightline scan`: 0 passed, 1 new barriers,
# 2 not all pages were scanned. Reports are in $SIGHTLINE_REPORTS. The action calls it; any other system can, too.
#
# SIGHTLINE_URLS      addresses, one per line; without it those in SIGHTLINE_FILE [accessibility-urls.txt], else those
#                     of the options below
# SIGHTLINE_START     command that serves the site, such as npm run preview; stopped at the end of the scan
# SIGHTLINE_BASELINE  file of known barriers [accessibility-known.json]; if it is missing, none are known
# SIGHTLINE_WRITE     file for the next baseline, for pipelines that keep it as an artifact
# SIGHTLINE_FAIL_ON   lowest impact of a new barrier that fails the run [that of sightline.toml, else serious]
# SIGHTLINE_TIMEOUT   seconds for the whole scan [900]
# SIGHTLINE_REPORTS   folder of the reports [reports]
# SIGHTLINE_OPTIONS   further options of `sightline scan`, one per line: --viewport=390x844
set -eu

reports=${SIGHTLINE_REPORTS:-reports}
file=${SIGHTLINE_FILE:-accessibility-urls.txt}
known=${SIGHTLINE_BASELINE:-accessibility-known.json}

options=(--local --timeout "${SIGHTLINE_TIMEOUT:-900}" --output "$reports/")
for format in html markdown sarif junit csv gitlab; do options+=(--format "$format"); done
if [ -n "${SIGHTLINE_FAIL_ON:-}" ]; then options+=(--fail-on "$SIGHTLINE_FAIL_ON"); fi
if [ -f "$known" ]; then options+=(--baseline "$known"); fi
if [ -n "${SIGHTLINE_START:-}" ]; then options+=(--start "$SIGHTLINE_START"); fi
if [ -n "${SIGHTLINE_START:-}" ] && [ -n "${SIGHTLINE_URLS:-}" ]; then options+=(--start-url "${SIGHTLINE_URLS%%$'\n'*}"); fi
if [ -n "${SIGHTLINE_WRITE:-}" ]; then options+=(--write-baseline "$SIGHTLINE_WRITE"); fi
while IFS= read -r option; do
  if [ -n "$option" ]; then options+=("$option"); fi
done <<<"${SIGHTLINE_OPTIONS:-}"

if [ -n "${SIGHTLINE_URLS:-}" ]; then
  printf '%s\n' "$SIGHTLINE_URLS" | sightline scan --file - "${options[@]}"
elif [ -f "$file" ]; then
  sightline scan --file "$file" "${options[@]}"
else
  sightline scan "${options[@]}"
fi
