"""Pull requests at GitHub, merge requests at GitLab: a comment of ours, found by its marker. Start at ``places.py``."""
