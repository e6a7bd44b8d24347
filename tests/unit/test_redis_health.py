"""Metrics of Redis' certificate, backups and hosts' models."""

from __future__ import annotations

from producer.client.gpu_view import UPDATE, GpuHost
from producer.stored.backups import age_s
from worker.metrics.redis_health import RedisHealth, certificate_end, health_families
from worker.metrics.shared import gauge_of


def host(*notes: str) -> GpuHost:
    return GpuHost("a", 1, 1, 0, 0, is_up=True, reason="", since_ms=0, notes=notes)


def test_a_certificate_says_when_it_ends_and_an_open_connection_says_nothing() -> None:
    assert certificate_end({"notAfter": "Jun  1 12:00:00 2027 GMT"}) == 1_811_851_200
    assert certificate_end({}) is None


def test_the_age_of_a_backup_is_never_negative_and_unknown_where_none_was_made() -> None:
    assert age_s({b"made_ms": b"1000"}, now_ms=61_000) == 60
    assert age_s({b"made_ms": b"1000"}, now_ms=0) == 0
    assert age_s({}, now_ms=0) is age_s({b"made_ms": b"x"}, now_ms=0) is None


def test_what_is_not_known_has_no_series() -> None:
    unknown = RedisHealth(1, 0, writes_ok=True, backup_age_s=None, certificate_left_s=None)
    samples = [sample.name for family in health_families(gauge_of("dev"), unknown) for sample in family.samples]

    assert samples == [
        "sightline_redis_memory_bytes",
        "sightline_redis_memory_limit_bytes",
        "sightline_redis_writes_ok",
    ]


def test_an_ollama_is_outdated_where_a_note_says_to_update_it() -> None:
    assert host(f"a is 0.17.0, which drops the schema: {UPDATE} to 0.31.2 or later").is_outdated
    assert not host("both models are loaded on a, without a GPU: see ops/gpu.md for one").is_outdated
