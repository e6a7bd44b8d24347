"""Backups of the whole server over Redis' own replication protocol, both ways.

``snapshot.py`` asks for one as a replica would, ``replication_source.py`` gives one as a primary would, ``folder.py``
keeps it, ``restore.py`` is the way back. Neither needs Redis' data folder, so a Redis in a container or on another
machine is no different. Why so: ``ops/decisions/``.
"""
