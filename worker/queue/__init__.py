"""The job queue on Redis Streams: claim, start, run, commit; leases, lanes and upkeep.

Knows no scans, agents, models or memories. Start with ``worker.py``.
"""
