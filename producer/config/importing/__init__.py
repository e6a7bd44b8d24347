"""Configurations of other tools as ``sightline.toml``: carried over or named. Next: ``draft.py``."""
