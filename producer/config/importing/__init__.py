"""Converts configurations of other tools to ``sightline.toml``, and names what it cannot. Next: ``draft.py``."""
