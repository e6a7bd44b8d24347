"""What Prometheus may know of a worker: its own doings (``server.py``), and what all share in Redis (``shared.py``).

Served where METRICS_PORT is set, imported only then. Names and labels are in those two files; what to
look at is in ``ops/grafana/``, what to be woken for in ``ops/prometheus/``, what to do then in ``ops/runbook.md``.
"""
