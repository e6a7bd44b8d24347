# shellcheck shell=bash
# Sourced by the set-up scripts: prints one line per step, and the step's output only if it fails.

# step WHAT COMMAND…: run COMMAND with stdin closed; its status is returned.
step() {
  local what=$1 start=$SECONDS log status=0
  shift
  log=$(mktemp)
  printf 'setup: %s … ' "$what"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -eq 0 ]; then
    printf 'ok, %d s\n' $((SECONDS - start))
  else
    printf 'FAILED\n'
    sed 's/^/  /' "$log" >&2
  fi
  rm -f "$log"
  return "$status"
}
