"""Sightline's comment on a pull request (GitHub) or merge request (GitLab). Start with ``places.py``."""
