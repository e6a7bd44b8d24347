"""The pages that ``sightline web`` serves: the contents of Redis, for a browser. Keeps no state.

A view is a function that reads like the CLI's commands (``producer/client``, ``producer/views``, ``producer/stored``,
``producer/reports``) and returns a ``Shown``: facts for a template, or the same as JSON. The scan history belongs to
workers: ``past.py`` defines the part that the pages need, ``worker/cli/web_past.py`` reads it. Start with ``app.py``.
"""
