"""Sends events as notices by webhook and mail; start at ``sender.py``.

Every worker reads events and sends notices. A notice is kept in Redis (``store.py``) from the moment its event is read
until it is delivered or given up; other workers send a killed worker's notices. A receiver may get a notice twice if a
worker dies between sending and recording that; its id, in ``webhook-id`` and ``Message-ID``, is the same.
"""
