"""Changes that are tried on a scanned page: which, when, and what becomes of it. Start with ``job.py``."""
