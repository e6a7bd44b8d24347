"""Backups of the whole server over Redis's replication protocol, in both directions.

``snapshot.py`` requests one as a replica would, ``replication_source.py`` serves one as a primary would, ``folder.py``
stores it, ``restore.py`` restores it. Redis's data folder is not needed, so Redis may run in a container or on another
machine. The reasons are in ``ops/decisions/``.
"""
