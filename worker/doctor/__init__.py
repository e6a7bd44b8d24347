"""The checks of ``sightline doctor``, one file per subject. They only read.

``examination.py`` lists the steps; each returns ``Line`` objects (``line.py``) and raises no error caused by what it
examines. Pure functions judge facts that were read before.
"""
