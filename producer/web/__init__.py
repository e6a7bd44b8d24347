"""The pages that ``sightline web`` serves: what Redis holds, for people with a browser. Keeps no state of its own.

A view is a function that reads with what the CLI's commands read with (``producer/client``, ``producer/views``,
``producer/stored``, ``producer/reports``) and returns a ``Shown``: facts for a template, or the same as JSON. The scan
history is a worker's: ``past.py`` says what the pages need of it, ``worker/cli/web_past.py`` reads it. Start at
``app.py``.
"""
