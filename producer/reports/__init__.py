"""Reports: one file a format, each a function from pages to text. Start at ``formats.py``."""
