"""The scan engine: takes a page, returns axe-core's findings. Knows no queues and no Redis. Start at ``engine.py``."""
