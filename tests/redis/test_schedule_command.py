"""``sightline schedule``: its stored data, list and removal."""

from __future__ import annotations

import json
from pathlib import Path

from producer.keys import Keys
from tests.support.command_line import Call, drawn_by_sightline
from tests.support.scan_worker import environment_for
from tests.support.small_site import small_site

TEA, CART = "https://shop.example/tea", "https://shop.example/cart"


def test_a_schedule_is_kept_with_its_options_and_replaced_and_removed(
    redis_url: str, keys: Keys, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "urls.txt").write_text(f"{CART}\n")
    first = call("schedule", "add", "nightly", "0 3 * * *", TEA, "--standard", "wcag2a")
    options = ("--file", str(tmp_path / "urls.txt"), "--group", "/cart=shop", "--without", "#chat", "--no-assess")
    replaced = call("schedule", "add", "nightly", "30 3 * * *", TEA, *options)

    kept = json.loads(call("schedule", "list").stdout)
    _, drawn = drawn_by_sightline(environment_for(redis_url, keys), "schedule", "list")
    removed = call("schedule", "remove", "nightly")

    assert first.stdout == "nightly: 1 page at '0 3 * * *' UTC\n"
    assert replaced.stdout == "nightly: 2 pages at '30 3 * * *' UTC\n"
    asked = {"exclude": ["#chat"], "assess": False}
    payloads = [{"url": TEA, **asked}, {"url": CART, **asked, "group": "shop"}]
    assert kept == {"v": 1, "name": "nightly", "cron": "30 3 * * *", "kind": "scan", "payloads": payloads}
    assert drawn.split() == ["nightly", "30", "3", "*", "*", "*", TEA, "and", "1", "more"]
    assert removed.stdout == "removed nightly\n"
    assert call("schedule", "list").stdout == ""
    assert call("schedule", "remove", "nightly").returncode == 64


def test_a_file_that_cannot_be_read_is_named(call: Call) -> None:
    done = call("schedule", "add", "nightly", "0 3 * * *", "--file", "missing.txt")

    assert done.returncode == 64
    assert "cannot read 'missing.txt': No such file or directory; expected a file of addresses" in done.stderr


def test_a_schedule_takes_sitemaps_crawls_and_steps(call: Call, tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text('[{"click": "#a"}, {"scan": "open"}]')
    with small_site() as site:
        site.files["/sitemap.xml"] = f"<urlset><url><loc>{site.url}/tea</loc></url></urlset>".encode()
        site.files["/"] = b"<a href=/cart>Cart</a>"
        site.files["/cart"] = b"<p>Cart</p>"
        found = ("--sitemap", f"{site.url}/sitemap.xml", "--crawl", f"{site.url}/", "--max-pages", "2")

        done = call("schedule", "add", "shop", "0 4 * * *", *found, "--steps", str(tmp_path / "steps.json"))

    assert done.returncode == 0, done.stderr
    steps = [{"click": "#a"}, {"scan": "open"}]
    assert done.stdout == "shop: 3 pages now, searched again for each run, at '0 4 * * *' UTC\n"
    kept = json.loads(call("schedule", "list").stdout)
    places = {"sitemaps": [f"{site.url}/sitemap.xml"], "crawl": [f"{site.url}/"], "max_pages": 2}
    assert (kept["kind"], kept["payloads"]) == ("find_pages", [{**places, "forms": [{"steps": steps}]}])


def test_a_schedule_has_a_time_zone_and_a_gate_and_a_misspelt_zone_gets_a_suggestion(call: Call) -> None:
    gate = ("--fail-on", "critical", "--strict")

    wrong = call("schedule", "add", "shop", "0 4 * * *", TEA, "--time-zone", "Europe/Berln")
    done = call("schedule", "add", "shop", "0 4 * * *", TEA, "--time-zone", "Europe/Berlin", *gate)
    early = call("schedule", "report", "shop")

    assert (wrong.returncode, "did you mean 'Europe/Berlin'?" in wrong.stderr) == (64, True), wrong.stderr
    assert done.stdout == "shop: 1 page at '0 4 * * *' Europe/Berlin\n"
    kept = json.loads(call("schedule", "list").stdout)
    assert (kept["time_zone"], kept["gate"]) == ("Europe/Berlin", {"fail_on": "critical", "strict": True})
    assert (early.returncode, "it has not been due yet" in early.stderr) == (64, True), early.stderr


def test_a_schedule_keeps_no_login_of_a_sitemap(call: Call) -> None:
    with small_site() as site:
        site.files["/sitemap.xml"] = f"<urlset><url><loc>{site.url}/tea</loc></url></urlset>".encode()
        place = site.url.replace("://", "://ann:t0ken@")

        done = call("schedule", "add", "shop", "0 4 * * *", "--sitemap", f"{place}/sitemap.xml")

    assert (done.returncode, "has a name and password" in done.stderr) == (64, True), done.stderr
    assert "t0ken" not in done.stderr
    assert call("schedule", "list").stdout == ""


def test_a_schedule_keeps_no_secrets_of_steps(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "login.json"
    file.write_text('[{"goto": "/login"}, {"fill": "#word", "value": "${WORD}"}]')

    done = call("schedule", "add", "shop", "0 4 * * *", TEA, "--login", str(file), WORD="open sesame")

    assert done.returncode == 64
    assert "needs ${WORD}, but a schedule keeps no secrets: let cron run 'sightline scan'" in done.stderr
    assert call("schedule", "list").stdout == ""
