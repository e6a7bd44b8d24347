"""The effort of the fuzz tests: small with all tests, large under ``make fuzz`` (``tests/fuzz/run.py``)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

settings.register_profile("brief", patient, max_examples=60)
settings.register_profile("fuzz", patient, max_examples=500, print_blob=True)
settings.load_profile("brief")
