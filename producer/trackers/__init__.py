"""Component barriers as issues of a tracker: GitHub, GitLab, or a JSON file. Start at ``plan.py``.

An issue is found again by its label and the marker in its first line (``body.py``), never by its title. What is to be
done is decided in ``plan.py`` from the issues and a scan (``seen.py``); a ``Tracker`` (``tracker.py``) does it.
"""
