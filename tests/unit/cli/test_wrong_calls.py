"""Wrong calls: one line on stderr that names the thing, exit code 64, and Redis is not even asked."""

from __future__ import annotations

from pathlib import Path

import pytest

import worker.telemetry
from producer.cli.main import run
from producer.redis import connection

NOWHERE = "redis://127.0.0.1:1/0"
"""Nothing answers there: a call that asked Redis would end with 3."""
PAGE = "https://shop.example/"
ISSUE = "4a1f4a1f4a1f4a1f-00c0ffee"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    monkeypatch.setenv("ENVIRONMENT", "nowhere")
    monkeypatch.setattr(connection, "ATTEMPTS", 1)  # the back-off of all five takes 3 s, and Redis stays away
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan"], "nothing to scan: expected addresses such as https://example.org/"),
        (["scan", "shop.example"], "'shop.example' has no scheme"),
        (["scan", "localhost:3000/shop"], "'localhost:3000/shop' has no scheme: expected an address that starts with"),
        (["scan", "file:///etc/passwd"], "http:// or https://"),
        (["scan", "nonsense", "ftp://x"], "; and 1 more"),
        (["scan", PAGE, "--waite"], "--wait"),
        (["scan", PAGE, "--fail-on", "bad"], "'critical', 'never'"),
        (["scan", PAGE, "--standard", "wcag9"], "'wcag22aa'"),
        (["scan", PAGE, "--timeout", "0"], "x>0"),
        (["scan", PAGE, "--timeout", "soon"], "'soon' is not a valid float"),
        (["scan", PAGE, "--lane", "fast"], "'interactive', 'batch'"),
        (["scan", PAGE, "--format", "pdf"], "format 'pdf' is unknown: expected one of table, json"),
        (["scan", PAGE, "--format", "html="], "names no file"),
        (["scan", PAGE, "--format", "json", "--format", "csv"], "json and csv cannot both go to stdout"),
        (["scan", PAGE, "--format", "json", "--json"], "--json is the same as --format jsonl: use one of them"),
        (["scan", PAGE, "-o", "report.pdf"], "has no known format"),
        (["scan", PAGE, "-o", "missing/report.html"], "cannot write 'missing/report.html'"),
        (["scan", PAGE, "--format", "html=.", "--wait"], "it is a folder"),
        (["scan", PAGE, "--format", "html=a.html", "-o", "b.html"], "would get no report"),
        (["scan", PAGE, "--resume"], "--resume needs --batch NAME"),
        (["scan", PAGE, "--id", "a", "--batch", "b"], "are mutually exclusive"),
        (["scan", PAGE, PAGE + "tea", "--id", "a"], "is for one page: 2 were given"),
        (["scan", PAGE, "--id", "a:b"], "--id 'a:b'"),
        (["scan", PAGE, "--batch", "a b"], "--batch 'a b': expected 1 to 128 letters"),
        (["scan", PAGE, "--batch", ""], "--batch '': expected 1 to 128 letters"),
        (["scan", PAGE, "--id", ""], "--id '': expected 1 to 128 letters"),
        (["batch", "close", "a b"], "batch 'a b': expected"),
        (["scan", PAGE, "--match", "/x", "--ignore-robots"], "--match and --ignore-robots select pages of a"),
        (["scan", "--sitemap", "sitemap.xml"], "--sitemap 'sitemap.xml' has no scheme"),
        (["scan", PAGE, "--local", "--only-new"], "--only-new cannot be used: use --baseline F"),
        (["scan", PAGE, "--local", "--batch", "b", "--resume"], "--resume cannot be used: run it again"),
        (["scan", "--file", "missing.txt"], "'missing.txt': No such file"),
        (["scan", PAGE, "--baseline", "missing.json"], "cannot read the baseline 'missing.json'"),
        (["scan", PAGE, "--write-baseline", "missing/known.json"], "cannot write 'missing/known.json'"),
        (["scan", PAGE, "--header-file", "missing.txt"], "cannot read 'missing.txt'"),
        (["scan", PAGE, "--header", "Authorization: x"], "No such option"),
        (["scan", PAGE, "--viewport", "wide"], "'wide': expected width and height in CSS pixels, such as 390x844"),
        (["scan", PAGE, "--viewport", "90x844"], "viewport.width"),
        (["scan", PAGE, "--device", "iphone14"], "no device is called 'iphone14': did you mean 'iPhone 14'?"),
        (["scan", PAGE, "--max-new", "3"], "max_new limits new barriers: it needs only_new or a baseline"),
        (["scan", PAGE, "--max-pages", "9"], "--max-pages limit a --crawl URL, but none is given"),
        (
            ["scan", PAGE, "--id", "a", "--zoom", "100", "--zoom", "400"],
            "one page: 2 states of it were requested",
        ),
        (["scan", PAGE, "--group", "/shop/*="], "--group '/shop/*=': expected a name such as shop, or a pattern"),
        (["schedule", "add", "n", "0 3 * * *", PAGE, "--viewport", "9x9"], "viewport.width"),
        (["waive"], "use one of FINGERPRINT with --reason, --list"),
        (["waive", "a" * 24], "--reason is missing"),
        (["waive", "a" * 24, "--reason", "x", "--until", "soon"], "does not match the format '%Y-%m-%d'"),
        (["waive", "a" * 24, "--reason", "x", "--until", "2001-01-01"], "that day is over"),
        (["waive", "image-alt", "--reason", "x"], "expected 24 hex digits"),
        (["waive", "--list", "--remove", "a" * 24], "use one of FINGERPRINT"),
        (["waive", "--list", "--until", "2999-01-01"], "need a FINGERPRINT"),
        (["review"], "use one of ID barrier|no-barrier with --reason, --list"),
        (["review", ""], "the decision on '' is missing"),
        (["comment", "."], "cannot read the report '.': Is a directory; expected"),
        (["web", "--auth", "."], "cannot read --auth '.': Is a directory"),
        (["issues", "sync", ".", "--to", "json"], "cannot read the report '.': Is a directory"),
        (["review", ISSUE, "perhaps", "--reason", "x"], "'barrier', 'no-barrier'"),
        (["review", ISSUE, "barrier"], "--reason is missing"),
        (["review", "a" * 24, "barrier", "--reason", "x"], "expected the id of a component barrier"),
        (["review", ISSUE, "barrier", "--reason", "x", "--by", " "], "the name of a decision"),
        (["review", "--list", "--remove", ISSUE], "use one of ID"),
        (["review", "--list", "--by", "Anna"], "need an ID"),
        (["status", "a:b"], "job id 'a:b'"),
        (["result"], "Missing argument 'JOB|BATCH'"),
        (["result", "x", "--json", "--format", "html"], "--json writes to stdout"),
        (["cancel", "no good"], "job id 'no good'"),
        (["watch", "--since", "yesterday"], "expected the id of an event"),
        (["watch", "--since", "9" * 20], "expected the id of an event"),
        (["watch", "--since", "١٢٣"], "expected the id of an event"),
        (["batch", "close"], "Missing argument 'BATCH'"),
        (["scna", PAGE], "No such command 'scna': did you mean 'scan'?"),
        (["config", "chek"], "No such command 'chek': did you mean 'check'?"),
        (["qwertz", PAGE], "No such command 'qwertz'; see"),
        (["scan", "x" * 5000], "has no scheme"),
        (["--wait"], "No such option"),
    ],
)
def test_a_wrong_call_is_one_line_and_exits_64(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The log would go to pytest's stream of this test, and later tests would write to it.
    monkeypatch.setattr(worker.telemetry, "configure_logging", _nothing)
    code = run(arguments)

    answer = capsys.readouterr()
    assert code == 64
    assert said in answer.err
    assert answer.err.startswith("sightline: ")
    assert answer.err.count("\n") == 1
    assert answer.out == ""


def test_a_file_without_addresses_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "urls.txt").write_text("# none yet\n\n")

    code = run(["scan", "--file", "urls.txt"])

    assert code == 64
    assert "'urls.txt' has no addresses" in capsys.readouterr().err


def test_a_file_given_as_an_address_gets_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "urls.txt").write_text(PAGE)

    code = run(["scan", "urls.txt"])

    assert code == 64
    assert "to scan the addresses in that file, use --file urls.txt" in capsys.readouterr().err


def test_a_binary_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "urls.txt").write_bytes(b"\x80\x00h\x00t")

    code = run(["scan", "--file", "urls.txt"])

    assert code == 64
    assert "'urls.txt' is not a text file in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["status"], ["scan", PAGE], ["cancel", "x"], ["batch", "close", "x"]])
def test_a_redis_that_does_not_answer_is_named_and_exits_3(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(arguments)

    answer = capsys.readouterr()
    assert code == 3
    assert f"nothing answers at REDIS_URL '{NOWHERE}' (Connection refused): start Redis" in answer.err
    assert answer.err.count("\n") == 1


def test_a_misspelt_setting_causes_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URI", "redis://elsewhere")

    run(["status"])

    assert "warning: the environment sets 'REDIS_URI'" in capsys.readouterr().err


def test_a_bad_setting_exits_64(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://user:s3cret@h/1")

    code = run(["status"])

    answer = capsys.readouterr()
    assert code == 64
    assert "search works on database 0 only" in answer.err
    assert "s3cret" not in answer.err


def test_an_unwritable_report_is_found_before_anything_is_queued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a-file").write_text("")

    code = run(["scan", PAGE, "--format", "html=a-file/report.html"])

    assert code == 64
    assert "cannot write 'a-file/report.html'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["scan", "--help"], ["batch", "--help"], ["result", "-h"]])
def test_help_goes_to_stdout_and_exits_0(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = run(arguments)

    answer = capsys.readouterr()
    assert code == 0
    assert answer.out.startswith("Usage: sightline")


@pytest.mark.parametrize("arguments", [[], ["batch"]])
def test_a_group_without_a_command_shows_its_help_as_a_wrong_call(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(arguments)

    answer = capsys.readouterr()
    assert code == 64
    assert answer.err.startswith("Usage: sightline")
    assert "\n  " in answer.err, "as laid out for people, not as one line"


def _nothing(**_: object) -> None:
    pass
