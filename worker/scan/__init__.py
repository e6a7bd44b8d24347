"""The scan engine: one page in, what axe-core found out. It knows no queues and no Redis; start at ``engine.py``."""
