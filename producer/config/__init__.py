"""``sightline.toml``: the file in a repository that says what ``sightline scan`` scans, and how strictly.

Reads, checks and merges the file; knows nothing of click, Redis or browsers. The options of a scan come in as a table
(``options.py``), so that a new option of the command line is a key of the file at once. Next: ``reading.py``.
"""
