"""Fixes tried on a scanned page: which, when, and their results. Start with ``job.py``."""
