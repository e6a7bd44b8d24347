"""Connections to Redis: addresses, pools, raw connections and Lua scripts. Knows no jobs and no scans.

A script is run in one of three ways:

- ``scripts.run_script`` on a redis-py client, for occasional calls.
- ``script_pipe.ScriptPipe`` on a persistent connection, for frequent calls. ``run`` and ``run_many`` send immediately
  and retry after a lost connection (clients); ``call`` is sent once, with the other calls of its event-loop tick
  (workers).
- ``bulk.BulkScript`` on a pipe, which batches the calls of the hot path.

The lease thread has no event loop and runs its one script with redis-py's ``register_script``. Start with
``scripts.py``.
"""
