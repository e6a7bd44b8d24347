"""Connections to Redis: addresses, pools, raw connections and Lua scripts. Knows no jobs and no scans.

A script is run in one of three ways:

- ``scripts.run_script`` on a redis-py client: for what is called now and then.
- ``script_pipe.ScriptPipe`` on a connection that is kept: for what is called all the time. ``run`` and ``run_many`` go
  out in the call and are repeated after a lost connection (clients); ``call`` goes out with the other calls of its
  event-loop tick, once (workers).
- ``bulk.BulkScript`` on a pipe: many calls as one, for the scripts of the hot path.

The lease thread has no event loop and runs its one script by redis-py's own ``register_script``. Start with
``scripts.py``.
"""
