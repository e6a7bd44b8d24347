"""The ``scan`` command: options, targets, logins, submission, waiting and the gate. Start with ``command.py``."""
