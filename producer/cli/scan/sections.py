"""The options of ``scan`` by what they are about: the sections of its help, and the tables of ``sightline.toml``.

An option that is in no section is one of the page's, and comes last in the help.
"""

from __future__ import annotations

from typing import Final

SECTIONS: Final = {
    "What to scan": (
        "file",
        "sitemaps",
        "match",
        "exclude",
        "sitemap_replace",
        "ignore_robots",
        "config",
        "sites",
        "no_config",
        "batch",
        "job_id",
        "lane",
        "local",
        "start",
        "start_url",
    ),
    "Logging in": ("header_file", "cookie_file", "storage_state"),
    "The page": (
        *("standard", "groups", "within", "without", "disabled_rules", "enabled_rules", "blocked_hosts"),
        *("allow_partial", "viewport", "wait_for", "wait_until", "deadline_s", "insecure", "ca"),
        *("no_assess", "try_fixes", "screenshot"),
    ),
    "Waiting and the gate": (
        "wait",
        "timeout_s",
        "assess_wait_s",
        "resume",
        "fail_on",
        "strict",
        "only_new",
        "max_new",
        "run",
        "baseline",
        "write_baseline",
    ),
    "Reports": ("formats", "output", "as_json"),
}
