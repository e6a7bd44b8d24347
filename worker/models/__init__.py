"""Chat models and embedders behind the protocols of ``protocols.py``."""
