"""The scan engine: page in, axe-core's findings out. Independent of queues and Redis. Start with ``engine.py``."""
