"""The job queue on Redis Streams: claim, start, run, commit; leases, lanes and upkeep.

Independent of scans, agents, models and memories. Start with ``worker.py``.
"""
