"""``sightline issues sync`` against hosts as documented: one issue a component barrier, in step with the scans."""

from __future__ import annotations

import io
import json
import re
import time
import tomllib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from producer.cli import connect, main
from producer.cli.scan.command import scan
from producer.cli.scan.option_keys import option_keys
from producer.config.reading import read_config
from producer.contract import Finding
from producer.contract.waiver import Waiver
from producer.errors import InputError
from producer.reports.formats import ReportContext, load_report
from producer.reports.marks import Marks
from producer.reports.page import Page, page_of
from producer.trackers import api
from producer.trackers.body import hidden_of
from producer.trackers.waivers import write_waivers
from tests.support.tracker import Answer, TrackerStub, tracker_stub
from tests.unit.reports import component_pages, sample_pages
from tests.unit.reports.component_pages import CARD, HEADER

TOKEN = "t0ken-of-the-test"  # noqa: S105  of nobody
LABEL = component_pages.finding("label", HEADER)
CARDS = component_pages.finding("image-alt", CARD, nodes=2)


def page(path: str, *findings: Finding, terms: str = "default", status: Any = "scanned") -> Page:
    result = sample_pages.scan_result(path, *findings).model_copy(update={"engine": {"terms": terms}, "status": status})
    return page_of(result)


@dataclass
class Run:
    """Runs the command in a folder, with reports of pages an hour apart."""

    folder: Path
    patch: pytest.MonkeyPatch
    variables: dict[str, str] = field(default_factory=dict[str, str])
    hours: int = 0

    def report(self, *pages: Page, hours_late: int = 0) -> None:
        """Write the report of a scan that ended ``hours_late`` before."""
        self.hours += 1
        out = io.StringIO()
        made_at = sample_pages.AT + timedelta(hours=self.hours)
        scanned_ms = int((made_at - timedelta(hours=hours_late)).timestamp() * 1000) if hours_late else 0
        context = ReportContext(made_at, scanned_ms=scanned_ms)
        load_report("json")(pages, context, out)
        (self.folder / "report.json").write_text(out.getvalue())

    def sync(self, *options: str) -> int:
        self.patch.setattr(connect.os, "environ", self.variables)
        return main.run(["issues", "sync", str(self.folder / "report.json"), *options])


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would have been waited: no test does."""
    waited: list[float] = []
    made = api.Api.__init__

    def with_recorder(self: api.Api, base: str, headers: Mapping[str, str]) -> None:
        made(self, base, headers, waited.append)

    monkeypatch.setattr(api.Api, "__init__", with_recorder)
    return waited


@pytest.fixture(params=["github", "gitlab"])
def host(request: pytest.FixtureRequest, waited: list[float]) -> Generator[TrackerStub]:
    del waited
    with tracker_stub(request.param) as stub:
        yield stub


@pytest.fixture
def github(waited: list[float]) -> Generator[TrackerStub]:
    del waited
    with tracker_stub("github") as stub:
        yield stub


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


def asked_of(run: Run, host: TrackerStub) -> Sequence[str]:
    """Options and variables for a host."""
    name = "GITHUB" if host.kind == "github" else "GITLAB"
    run.variables = {f"{name}_TOKEN": TOKEN, "GITHUB_API_URL": host.url, "CI_API_V4_URL": host.url, "CI": "true"}
    return ("--to", host.kind, "--project", "shop/web")


def marked(body: str) -> str:
    """The component barrier that an issue is of."""
    hidden = hidden_of(body)
    assert hidden
    return hidden.issue_id


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    run: Run, host: TrackerStub, capsys: pytest.CaptureFixture[str]
) -> None:
    run.report(page("/", LABEL, CARDS), page("/a", LABEL))

    code = run.sync(*asked_of(run, host), "--json", "--waivers", str(run.folder / "sightline.toml"))

    assert (code, host.writes, host.issues) == (0, [], [])
    assert [json.loads(line)["step"] for line in capsys.readouterr().out.splitlines()] == ["open", "open"]
    assert not (run.folder / "sightline.toml").exists()
    run.sync(*asked_of(run, host))
    assert f"open    {HEADER}  Header › search field has no label (critical, on 2 pages)" in capsys.readouterr().out


def test_an_issue_is_opened_updated_closed_and_reopened(run: Run, host: TrackerStub) -> None:
    options = (*asked_of(run, host), "--apply")

    run.report(page("/", LABEL, CARDS), page("/a", LABEL))
    assert run.sync(*options) == 0
    assert host.states() == ["open", "open"]
    assert host.writes == ["POST", "POST"]

    assert run.sync(*options) == 0
    assert host.writes == ["POST", "POST"], "a second run changed something though nothing had changed"

    run.report(page("/", LABEL, CARDS), page("/a", LABEL, CARDS))
    run.sync(*options)
    cards = next(one for one in host.issues if CARD in one[host.text])
    assert "on 2 pages" in cards[host.text]
    assert len(host.writes) == 3

    run.report(page("/", LABEL), page("/a", LABEL))
    run.sync(*options)
    assert sorted(host.states()) == ["closed", "open"]
    assert "**Fixed**" in cards[host.text]

    run.report(page("/", LABEL, CARDS), page("/a", LABEL))
    run.sync(*options)
    assert host.states() == ["open", "open"]
    assert "**Fixed**" not in cards[host.text]
    assert len(host.issues) == 2


def test_an_issue_is_not_written_again_for_another_example_in_the_name(run: Run, host: TrackerStub) -> None:
    options = (*asked_of(run, host), "--apply")
    for price in ("12.90", "13.50"):
        text = {"component": f"Main › card text “{price}” has too little contrast"}
        run.report(page("/", CARDS.revised(nodes=tuple(node.model_copy(update=text) for node in CARDS.nodes))))
        assert run.sync(*options) == 0

    assert host.writes == ["POST"]


def test_a_barrier_that_is_waived_on_one_of_its_pages_has_an_issue_and_one_that_is_waived_has_none(
    run: Run, github: TrackerStub
) -> None:
    def waived(one: Page, *names: str) -> Page:
        return replace(one, marks=Marks(waivers={name: Waiver(name, "a new shop") for name in names}))

    run.report(waived(page("/", LABEL, CARDS), "label-n0", CARD), waived(page("/a", LABEL, CARDS), CARD))
    run.sync(*asked_of(run, github), "--apply")

    assert [marked(one["body"]) for one in github.issues] == [HEADER]


def test_gitea_takes_labels_by_number_and_says_null_about_pull_requests(run: Run, github: TrackerStub) -> None:
    github.is_gitea = True
    options = (*asked_of(run, github), "--apply")
    run.variables["GITHUB_API_URL"] += "/api/v1"
    run.report(page("/", LABEL, CARDS))

    assert run.sync(*options) == 0
    assert run.sync(*options) == 0
    assert len(github.issues) == 2, "the issues were not found again"
    assert github.labels == ["bug", "sightline"]


def test_labels_that_differ_in_case_only_are_one_label_as_on_the_hosts(run: Run, host: TrackerStub) -> None:
    host.recase = str.title
    options = (*asked_of(run, host), "--apply")
    run.report(page("/", LABEL))

    assert run.sync(*options) == 0
    host.label(1, "Sightline", "WontFix")
    settings = run.folder / "sightline.toml"
    run.sync(*options, "--waivers", str(settings))

    assert len(host.issues) == 1
    assert HEADER in settings.read_text()


def test_a_reply_that_is_no_list_is_no_empty_list_of_issues(
    run: Run, github: TrackerStub, capsys: pytest.CaptureFixture[str]
) -> None:
    github.refuse = lambda method: (200, {}) if method == "GET" else None
    run.report(page("/", LABEL))

    assert run.sync(*asked_of(run, github), "--apply") == 3
    assert github.issues == []
    assert "the reply is not a list" in capsys.readouterr().err


def test_objects_that_are_no_issues_are_refused_in_words(
    run: Run, host: TrackerStub, capsys: pytest.CaptureFixture[str]
) -> None:
    host.issues.append({"id": 7, "labels": [host.shown("sightline")]})
    run.report(page("/", LABEL))

    assert run.sync(*asked_of(run, host), "--apply") == 3
    assert len(host.issues) == 1
    assert "objects that are not issues" in capsys.readouterr().err


def test_a_title_and_text_written_by_people_stay(run: Run, host: TrackerStub) -> None:
    options = (*asked_of(run, host), "--apply")
    run.report(page("/", LABEL))
    run.sync(*options)
    host.issues[0]["title"] = "Search: who takes this?"
    host.issues[0][host.text] = host.issues[0][host.text].replace("\n", "\r\n") + "\r\nAnna does.\r\n"

    run.sync(*options)
    assert host.writes == ["POST"], "line ends of the host's were taken for a change"
    run.report(page("/", LABEL), page("/a", LABEL))
    run.sync(*options)

    assert host.issues[0]["title"] == "Search: who takes this?"
    assert "on 2 pages" in host.issues[0][host.text]
    assert host.issues[0][host.text].rstrip().endswith("Anna does.")


def test_our_issues_are_found_on_later_pages_of_the_list_and_others_are_not_changed(
    run: Run, host: TrackerStub
) -> None:
    options = (*asked_of(run, host), "--apply")
    for number in range(5):
        host.add({"title": HEADER, host.text: f"no marker, {HEADER}", "labels": ["sightline"] if number else []})
    run.report(page("/", LABEL))
    run.sync(*options)
    before = [dict(one) for one in host.issues]

    run.sync(*options)

    assert len(host.issues) == 6
    assert host.issues == before
    assert host.writes == ["POST"]


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([page("/", LABEL)], id="another page was not scanned"),
        pytest.param([page("/", LABEL), page("/a", status="partial")], id="it was read in part"),
        pytest.param([page("/", LABEL), page("/a", terms="fewer rules")], id="it was looked at for less"),
        pytest.param([page("/", LABEL), page("/a", terms="")], id="an earlier release does not say for what"),
    ],
)
def test_an_issue_stays_open_while_a_page_may_still_have_it(run: Run, github: TrackerStub, pages: list[Page]) -> None:
    options = (*asked_of(run, github), "--apply")
    run.report(page("/", LABEL), page("/a", LABEL, CARDS))
    run.sync(*options)

    run.report(*pages)
    run.sync(*options)
    assert github.states() == ["open", "open"]

    run.report(page("/a", LABEL))
    run.sync(*options)
    assert sorted(github.states()) == ["closed", "open"], "the run that can tell does not close it"


def test_a_rule_with_unlisted_elements_closes_no_issue_of_its_components(run: Run, github: TrackerStub) -> None:
    options = (*asked_of(run, github), "--apply")
    other = component_pages.finding("image-alt", HEADER, trimmed=40)
    run.report(page("/", CARDS))
    run.sync(*options)

    run.report(page("/", other))
    run.sync(*options)

    assert github.states() == ["open", "open"]


def test_an_issue_that_the_host_lists_twice_is_not_its_own_duplicate(run: Run, host: TrackerStub) -> None:
    options = (*asked_of(run, host), "--apply")
    run.report(page("/", LABEL))
    run.sync(*options)
    host.issues.append(dict(host.issues[0]))  # another issue was opened between the requests for two pages of the list

    run.sync(*options)

    assert (host.states(), host.writes) == (["open", "open"], ["POST"])


def test_a_host_that_drips_its_reply_is_given_up(
    run: Run, github: TrackerStub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "CALL_S", 0.3)
    run.report(page("/"))
    github.drip_s = 0.05
    answers: tuple[Answer, Answer] = ((200, {}), (404, {}))
    for answer in answers:
        github.refuse = partial(_answered, answer)

        began_s = time.monotonic()
        assert run.sync(*asked_of(run, github)) in {3, 64}
        assert time.monotonic() - began_s < 15
    assert "it was not complete within 0.3 s" in capsys.readouterr().err


def _answered(answer: Answer, _: str) -> Answer:
    return answer


@pytest.mark.parametrize("address", ["https://anna:s3cret@host.example/api", "ftp://anna:s3cret@host.example"])
def test_an_address_with_user_info_is_refused_and_not_quoted(
    run: Run, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    run.variables = {"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": address}
    run.report(page("/"))

    assert run.sync("--to", "github", "--project", "shop/web") == 64
    said = capsys.readouterr().err
    assert "GITHUB_API_URL: expected an http or https address without user info" in said
    assert "s3cret" not in said


def test_a_report_that_is_older_changes_nothing(run: Run, github: TrackerStub) -> None:
    options = (*asked_of(run, github), "--apply")
    run.report(page("/"))
    earlier = (run.folder / "report.json").read_text()
    run.report(page("/", LABEL))
    run.sync(*options)

    (run.folder / "report.json").write_text(earlier)
    run.sync(*options)

    assert (github.states(), github.writes) == (["open"], ["POST"])


@pytest.mark.parametrize("reason", ["not_planned", "duplicate"])
def test_an_issue_that_people_closed_as_not_planned_stays_closed(run: Run, github: TrackerStub, reason: str) -> None:
    options = (*asked_of(run, github), "--apply")
    run.report(page("/", LABEL))
    run.sync(*options)

    github.close(1, reason=reason)
    run.sync(*options)
    assert github.states() == ["closed"]

    github.close(1)
    run.sync(*options)
    assert github.states() == ["open"], "one closed as done comes back when a later scan finds it"


def test_labels_make_waivers_in_the_settings_file_and_take_them_back(run: Run, host: TrackerStub) -> None:
    settings = run.folder / "sightline.toml"
    theirs = '[gate]\nfail_on = "serious"\n'
    settings.write_text(theirs)
    settings.chmod(0o640)
    options = (*asked_of(run, host), "--apply", "--waivers", str(settings))
    run.report(page("/", LABEL, CARDS))
    run.sync(*options)
    number = next(at for at, one in enumerate(host.issues, 1) if CARD in one[host.text])

    host.label(number, "sightline", "wontfix")
    host.close(number)
    run.sync(*options)
    reading = read_config(settings, option_keys(scan), {})
    assert reading.config, [str(fault) for fault in reading.faults]
    [waiver] = reading.config.document.waiver
    assert waiver.fingerprint == CARD
    assert f"/issues/{number} has the label wontfix" in waiver.reason
    assert settings.stat().st_mode & 0o777 == 0o640
    assert sorted(host.states()) == ["closed", "open"], "a waived one was reopened"

    host.label(number, "sightline")
    run.sync(*options)
    assert settings.read_text().strip() == theirs.strip()


def test_a_reason_with_an_emoji_is_toml(tmp_path: Path) -> None:
    file = tmp_path / "sightline.toml"

    write_waivers(file, [Waiver(CARD, 'the "new" shop \N{PARTY POPPER} café')])

    assert tomllib.loads(file.read_text())["waiver"][0]["reason"] == 'the "new" shop \N{PARTY POPPER} café'


def test_waivers_of_pyproject_are_its_tables_and_a_block_without_an_end_costs_nobody_s_lines(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "shop"\n')

    write_waivers(file, [Waiver(CARD, "later")])
    reading = read_config(file, option_keys(scan), {})
    broken = file.read_text().replace("# end of the waivers of labelled issues\n", "[tool.mine]\n")
    file.write_text(broken)
    with pytest.raises(InputError, match="without '# end of the waivers"):
        write_waivers(file, [])

    assert reading.config, [str(fault) for fault in reading.faults]
    assert [one.fingerprint for one in reading.config.document.waiver] == [CARD]
    assert file.read_text() == broken


def test_waivers_at_the_end_of_a_file_without_a_last_line_end_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "sightline.toml"
    write_waivers(file, [Waiver(CARD, "later")])
    file.write_text(file.read_text().rstrip())

    assert write_waivers(file, [])
    assert file.read_text() == ""


def test_waivers_in_a_file_with_windows_line_ends_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "sightline.toml"
    file.write_bytes(b'[gate]\r\nfail_on = "serious"\r\n')

    for wanted, is_changed in (([Waiver(CARD, "later")], True), ([Waiver(CARD, "later")], False), ([], True)):
        assert write_waivers(file, wanted) is is_changed
        text = file.read_bytes()
        assert text.count(b"\n") == text.count(b"\r\n")
    assert CARD.encode() not in text


def test_a_list_is_read_to_its_end_however_the_host_spells_its_address(run: Run, host: TrackerStub) -> None:
    options = (*asked_of(run, host), "--apply")
    run.variables |= {name: host.url.replace("http", "HTTP") for name in ("GITHUB_API_URL", "CI_API_V4_URL")}
    host.per_page = 1
    run.report(page("/", LABEL, CARDS))

    assert [run.sync(*options) for _ in range(2)] == [0, 0]
    assert host.writes == ["POST", "POST"]


def test_a_report_is_as_old_as_its_scan_however_late_it_is_made(
    run: Run, host: TrackerStub, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*asked_of(run, host), "--apply")
    run.report(page("/", LABEL))
    run.sync(*options)

    run.report(page("/"), hours_late=2)

    assert run.sync(*options) == 0
    assert (host.states(), host.writes) == (["open"], ["POST"])
    assert "left unchanged: its text is from a later scan" in capsys.readouterr().out


def test_waivers_are_written_to_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    file, link = tmp_path / "shared.toml", tmp_path / "sightline.toml"
    file.touch()
    link.symlink_to(file)

    write_waivers(link, [Waiver(CARD, "later")])

    assert link.is_symlink()
    assert CARD in file.read_text()


def test_of_two_issues_that_two_runs_made_at_once_the_older_stays(run: Run, host: TrackerStub) -> None:
    options = (*asked_of(run, host), "--apply")
    run.report(page("/", LABEL))
    run.sync(*options)
    host.add({"title": "again", host.text: host.issues[0][host.text], "labels": ["sightline"]})

    run.sync(*options)

    assert host.states() == ["open", "closed"]


def test_a_host_may_say_when_to_come_again_by_a_date(run: Run, host: TrackerStub, waited: list[float]) -> None:
    at = formatdate(time.time() + 9, usegmt=True)
    answers: list[Answer] = [(429, {"Retry-After": at})]
    host.refuse = lambda method: answers.pop() if method == "GET" and answers else None
    run.report(page("/"))

    assert run.sync(*asked_of(run, host)) == 0
    assert 2 < waited[0] <= 9


def test_a_busy_host_is_asked_again_and_one_that_says_when_is_waited_for(
    run: Run, host: TrackerStub, waited: list[float]
) -> None:
    answers: list[Answer] = [(500, {}), (429, {"Retry-After": "7"}), (403, {"Retry-After": "3"})]
    host.refuse = lambda method: answers.pop() if method == "GET" and answers else None
    run.report(page("/"))

    assert run.sync(*asked_of(run, host)) == 3
    assert waited == [3.0, 7.0]
    assert run.sync(*asked_of(run, host)) == 0


def test_a_limit_that_ends_in_an_hour_is_reported_and_not_waited_for(
    run: Run, github: TrackerStub, waited: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    github.refuse = lambda _: (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"})
    run.report(page("/", LABEL))

    assert run.sync(*asked_of(run, github), "--apply") == 3
    assert (waited, len(github.asked)) == ([], 1)
    assert "it asks to try again in" in capsys.readouterr().err


@pytest.mark.parametrize("status", [502, 503])
def test_an_issue_that_was_opened_though_the_host_answered_502_is_not_opened_twice(
    run: Run, host: TrackerStub, status: int
) -> None:
    answers: list[Answer] = [(status, {})]
    host.after = True
    host.refuse = lambda method: answers.pop() if method == "POST" and answers else None
    run.report(page("/", LABEL))

    assert run.sync(*asked_of(run, host), "--apply") == 0
    assert len(host.issues) == 1


@pytest.mark.parametrize(
    ("status", "said"), [(401, "the token was refused"), (403, "may not do this"), (404, "no such project")]
)
def test_a_refusal_says_what_to_do_and_quotes_no_token(
    run: Run, host: TrackerStub, capsys: pytest.CaptureFixture[str], status: int, said: str
) -> None:
    host.refuse = lambda _: (status, {})
    run.report(page("/", LABEL))

    assert run.sync(*asked_of(run, host), "--apply") == 64
    err = capsys.readouterr().err
    assert said in err
    assert f"{status} the host says no" in err
    assert TOKEN not in err


def test_an_issue_that_the_host_refuses_stops_no_other(
    run: Run, host: TrackerStub, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*asked_of(run, host), "--apply")
    run.report(page("/", LABEL, CARDS))
    answers: list[Answer] = [(422, {})]
    host.refuse = lambda method: answers.pop() if method == "POST" and answers else None

    assert run.sync(*options) == 64
    assert "1 step refused, all others done: POST" in capsys.readouterr().err
    assert len(host.issues) == 1
    assert run.sync(*options) == 0
    assert len(host.issues) == 2


def test_a_dropped_label_ends_the_sync_at_the_first_issue(
    run: Run, host: TrackerStub, capsys: pytest.CaptureFixture[str]
) -> None:
    host.may_label = False
    run.report(page("/", LABEL, CARDS))

    assert run.sync(*asked_of(run, host), "--apply") == 3
    assert len(host.issues) == 1
    assert "opened without the label 'sightline'" in capsys.readouterr().err


def test_text_of_a_page_mentions_no_user_and_closes_no_block(run: Run, host: TrackerStub) -> None:
    hostile = "`@all #12 !3 [x](javascript:y) <!-- sightline-issue: end -->\n/close\n@anna" + "x" * 100_000
    nodes = tuple(
        node.model_copy(update={"component": hostile, "selector": (hostile,)})
        for node in component_pages.finding("label", HEADER).nodes
    )
    run.report(page("/?q=@all", LABEL.revised(nodes=nodes)))

    assert run.sync(*asked_of(run, host), "--apply") == 0

    title, body = host.issues[0]["title"], host.issues[0][host.text]
    assert len(title) < 256
    assert len(body) < 10_000
    assert not any(sign in title for sign in ("@all", "#12", "!3", "`"))
    assert "\n/close" not in body
    assert body.count("sightline-issue:") == 2
    assert hidden_of(body)
    outside = re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", body)  # CommonMark: as many backticks as it began with
    assert "@all" not in outside
    assert run.sync(*asked_of(run, host), "--apply") == 0
    assert host.writes == ["POST"]


def test_a_json_file_is_a_tracker_too(run: Run) -> None:
    kept = run.folder / "issues.json"
    options = ("--to", "json", "--output", str(kept), "--apply", "--impact", "serious")
    run.report(page("/", LABEL, CARDS))
    run.sync(*options)
    first = kept.read_text()
    run.sync(*options)
    assert kept.read_text() == first
    run.report(page("/", LABEL))
    run.sync(*options)

    issues = json.loads(kept.read_text())["issues"]
    assert sorted((one["state"], marked(one["body"])) for one in issues) == [
        ("closed", CARD),
        ("open", HEADER),
    ]


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (["--to", "github"], {"GITHUB_TOKEN": TOKEN}, "expected --project or GITHUB_REPOSITORY as owner/name"),
        (["--to", "github", "--project", "a/b"], {}, "there is no token: set GITHUB_TOKEN"),
        (["--to", "gitlab", "--project", "a/b"], {"GITLAB_TOKEN_FILE": "/nowhere"}, "file named by GITLAB_TOKEN_FILE"),
        (
            ["--to", "github", "--project", "a/b"],
            {"GITHUB_TOKEN": f"{TOKEN}\nx"},
            "GITHUB_TOKEN is not a token",
        ),
        (["--to", "json", "--label", "a,b"], {}, "--label 'a,b'"),
        (["--to", "json", "--site", "x"], {}, "give one of REPORT and --site"),
    ],
)
def test_a_wrong_call_says_what_is_missing(
    run: Run, capsys: pytest.CaptureFixture[str], options: list[str], variables: dict[str, str], said: str
) -> None:
    run.report(page("/", LABEL))
    run.variables = variables

    assert run.sync(*options) == 64
    err = capsys.readouterr().err
    assert said in err
    assert TOKEN not in err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pages": [{}], "generated_at": "x"}', "<html>"])
def test_a_file_other_than_a_report_is_refused(run: Run, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (run.folder / "report.json").write_text(text)

    assert run.sync("--to", "json") == 64
    assert "expected a report of 'sightline scan --format json=report.json'" in capsys.readouterr().err
