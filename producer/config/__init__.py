"""``sightline.toml``: the settings of ``sightline scan`` in a repository.

Reads, checks and merges the file, independent of click, Redis and browsers. Scan options are passed in as a table
(``options.py``), so that every new option of the command line is also a key of the file. Next: ``reading.py``.
"""
