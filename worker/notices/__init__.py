"""Notices by webhook and mail of what the event stream says; start at ``sender.py``.

Every worker looks and sends. What is to be sent is kept in Redis (``store.py``) from the moment its event was read
until a receiver has taken it or it is given up; a killed worker's notices are sent by another. A receiver may get a
notice twice where a worker dies between sending and noting so: its id, in ``webhook-id`` and ``Message-ID``, is the
same then.
"""
