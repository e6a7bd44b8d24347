"""A Redis that Sightline starts itself: its build, its process, and ``scan --local``."""
