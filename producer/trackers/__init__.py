"""Component barriers as issues of a tracker: GitHub, GitLab, or a JSON file. Start with ``plan.py``.

An issue is recognised by its label and the marker in its first line (``body.py``), never by its title. ``plan.py``
derives the steps from the issues and a scan (``seen.py``); a ``Tracker`` (``tracker.py``) carries them out.
"""
