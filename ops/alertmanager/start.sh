#!/bin/sh
# Starts Alertmanager with receivers made from variables: ALERT_MAIL_TO (with ALERT_MAIL_FROM, ALERT_SMTP as host:port, and
# ALERT_SMTP_USER and the file ALERT_SMTP_PASSWORD_FILE where the server wants a login) and ALERT_WEBHOOK. Without
# these, alerts are kept and shown but not sent. start.sh --print shows the configuration instead.
set -eu
fail() { echo "alertmanager: $*" >&2; exit 64; }
case "${ALERT_MAIL_TO:-}${ALERT_MAIL_FROM:-}${ALERT_SMTP:-}${ALERT_SMTP_TLS:-}${ALERT_SMTP_USER:-}${ALERT_WEBHOOK:-}" in *"
"*) fail "a setting holds a line break, which would be another setting" ;; esac
# quoted TEXT: TEXT as a quoted YAML string.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"; }
if [ -n "${ALERT_MAIL_TO:-}" ] && { [ -z "${ALERT_MAIL_FROM:-}" ] || [ -z "${ALERT_SMTP:-}" ]; }; then
  fail "ALERT_MAIL_TO is set: set ALERT_MAIL_FROM and ALERT_SMTP (host:port), too"
fi
configuration() {
  cat <<'YAML'
route:
  receiver: operators
  group_by: [alertname, environment]
  group_wait: 10s
  group_interval: 5m
  repeat_interval: 12h
# While Redis is down, alerts that follow from this are suppressed.
inhibit_rules:
  - source_matchers: [alertname = SightlineRedisDown]
    target_matchers: [severity = warning]
    equal: [environment]
receivers:
  - name: operators
YAML
  if [ -n "${ALERT_WEBHOOK:-}" ]; then
    echo "    webhook_configs:"
    echo "      - url: $(quoted "$ALERT_WEBHOOK")"
    echo "        send_resolved: true"
  fi
  if [ -n "${ALERT_MAIL_TO:-}" ]; then
    echo "    email_configs:"
    echo "      - to: $(quoted "$ALERT_MAIL_TO")"
    echo "        from: $(quoted "$ALERT_MAIL_FROM")"
    echo "        smarthost: $(quoted "$ALERT_SMTP")"
    echo "        send_resolved: true"
    echo "        require_tls: ${ALERT_SMTP_TLS:-true}"
    if [ -n "${ALERT_SMTP_USER:-}" ]; then
      echo "        auth_username: $(quoted "$ALERT_SMTP_USER")"
      echo "        auth_password_file: $(quoted "${ALERT_SMTP_PASSWORD_FILE:-/run/secrets/alert_smtp_password}")"
    fi
  fi
}
if [ "${1:-}" = --print ]; then
  configuration
  exit
fi
configuration >/tmp/alertmanager.yml
exec "${ALERTMANAGER:-alertmanager}" --config.file=/tmp/alertmanager.yml "$@"
