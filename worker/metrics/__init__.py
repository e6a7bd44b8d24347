"""Metrics of a worker for Prometheus: its own activity (``server.py``), and the shared state in Redis (``shared.py``).

Served, and imported, only if METRICS_PORT is set. Names and labels are in those two files; dashboards are in
``ops/grafana/``, alerts in ``ops/prometheus/``, and remedies in ``ops/runbook.md``.
"""
