"""Connections to Redis: addresses, pools, raw connections and Lua scripts.

Knows no jobs and no scans. Start with ``scripts.py``.
"""
