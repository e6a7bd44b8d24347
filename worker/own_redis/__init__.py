"""A Redis that Sightline starts itself: the build, the server's life, and ``scan --local``."""
