"""Reports: a file per format, each with a function from pages to text. Start with ``formats.py``."""
