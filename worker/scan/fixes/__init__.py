"""Fixes tried on the page itself. ``rules.py`` proposes, ``trial.py`` tries."""
