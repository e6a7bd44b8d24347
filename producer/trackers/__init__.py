"""Component barriers as issues of a tracker: GitHub, GitLab, or a JSON file. Start at ``plan.py``.

An issue is found again by its label and the marker in its first line (``body.py``), never by its title. ``plan.py``
decides what to do from the issues and a scan (``seen.py``); a ``Tracker`` (``tracker.py``) does it.
"""
