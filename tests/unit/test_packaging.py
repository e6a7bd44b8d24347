"""Names of earlier releases still exist. The wheel's contents and use: ``tests/e2e/test_install.py``."""

from __future__ import annotations

import producer


def test_the_client_is_imported_from_where_earlier_releases_had_it():
    from producer.client import Client  # noqa: PLC0415  the import is what is tested

    assert Client is producer.Client
