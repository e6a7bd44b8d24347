"""Reports: a file per format, each with a function from pages to text. Start at ``formats.py``."""
