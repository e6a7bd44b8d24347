"""What ``sightline doctor`` looks at, one file a subject. It only reads.

``examination.py`` lists the steps; each returns ``Line`` objects (``line.py``) and raises nothing that is the patient's
fault. What a value means is decided in pure functions, from facts that were read before.
"""
