"""One comment per category on a pull request: created, updated, others unchanged, and never failing the job."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from producer.cli import connect, main
from producer.trackers import api
from tests.support.hosting import HostingStub, Refusal, hosting_stub

REPORT = "<!-- sightline: sightline/shop.example -->\n## Accessibility report\n"
BOT = "github-actions[bot]"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the waits between attempts on a busy host; return the recorded waits."""
    waited: list[float] = []
    made = api.Api.__init__

    def with_recorder(self: api.Api, base: str, headers: Mapping[str, str]) -> None:
        made(self, base, headers, waited.append)

    monkeypatch.setattr(api.Api, "__init__", with_recorder)
    return waited


@pytest.fixture
def host() -> Generator[HostingStub]:
    with hosting_stub() as stub:
        yield stub


class Job:
    """A job of GitHub's on pull request 7."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, patch
        (folder / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
        (folder / "report.md").write_text(REPORT)
        self.summary = folder / "summary.md"

    def comment(self, host: HostingStub, **changes: str) -> int:
        variables = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": host.url,
            "GITHUB_REPOSITORY": "shop/web",
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_TOKEN": "t0ken",
            **changes,
        }
        self._patch.setattr(connect.os, "environ", {name: value for name, value in variables.items() if value})
        return main.run(["comment", str(self.folder / "report.md")])


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(tmp_path, monkeypatch)


def test_the_comment_is_created_once_and_then_updated(host: HostingStub, job: Job) -> None:
    first = job.comment(host)
    (job.folder / "report.md").write_text(f"{REPORT}better\n")
    second = job.comment(host)

    assert (first, second) == (0, 0)
    assert [one["body"] for one in host.comments] == [f"{REPORT}better\n"]
    assert not job.summary.exists()


def test_the_token_may_be_in_a_file_and_what_is_no_token_is_not_shown(
    host: HostingStub, job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    file = job.folder / "token"
    file.write_text("t0ken\n")
    done = job.comment(host, GITHUB_TOKEN="", GITHUB_TOKEN_FILE=str(file))
    broken = job.comment(host, GITHUB_TOKEN="two\nwords")  # noqa: S106  of a stub

    assert (done, broken) == (0, 64)
    assert [one["body"] for one in host.comments] == [REPORT]
    said = capsys.readouterr().err
    assert "GITHUB_TOKEN is not a token" in said
    assert "words" not in said.replace("one word of", "")


def test_our_comment_is_found_on_a_later_page_of_the_list_and_others_are_not_changed(
    host: HostingStub, job: Job
) -> None:
    others = [
        host.add(REPORT, login="mallory"),
        host.add(f"> {REPORT}", login=BOT, kind="Bot"),
        host.add("coverage: 90 %", login=BOT, kind="Bot"),
        host.add(REPORT.replace("shop.example", "shop.example/390x844"), login=BOT, kind="Bot"),
    ]
    before = [one["body"] for one in others]
    ours = host.add(f"{REPORT}old", login=BOT, kind="Bot")

    job.comment(host)

    assert ours["body"] == REPORT
    assert [one["body"] for one in others] == before
    assert len(host.comments) == 5


def test_an_account_with_a_name_changes_its_own_comments_alone(job: Job) -> None:
    with hosting_stub(login="anna") as host:
        other = host.add(f"{REPORT}other", login="otherbot", kind="Bot")

        job.comment(host)

        assert other["body"] == f"{REPORT}other"
        assert [one["body"] for one in host.comments[1:]] == [REPORT]


def test_of_two_comments_that_two_jobs_made_at_once_one_is_left(host: HostingStub, job: Job) -> None:
    for body in ("first", "second"):
        host.add(f"{REPORT}{body}", login=BOT, kind="Bot")

    job.comment(host)

    assert [(one["id"], one["body"]) for one in host.comments] == [(1, REPORT)]


def test_a_fork_without_permission_has_the_report_in_the_summary_and_stays_green(
    host: HostingStub, job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    host.refuse = lambda method, _: (403, {}) if method == "POST" else None

    code = job.comment(host)

    assert (code, host.comments, job.summary.read_text()) == (0, [], REPORT)
    err = capsys.readouterr().err
    assert "403 Resource not accessible by integration" in err
    assert "t0ken" not in err


def test_a_comment_that_another_job_has_deleted_is_no_fault(
    host: HostingStub, job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in ("first", "second"):
        host.add(f"{REPORT}{body}", login=BOT, kind="Bot")
    host.refuse = lambda method, _: (404, {}) if method == "DELETE" else None

    job.comment(host)

    assert "updated the comment" in capsys.readouterr().err
    assert not job.summary.exists()


def test_a_list_that_cannot_be_read_whole_adds_no_second_comment(host: HostingStub, job: Job) -> None:
    for body in ("one", "two", f"{REPORT}old"):
        host.add(body, login=BOT, kind="Bot")
    host.next_host = "http://other.example"

    assert job.comment(host) == 0
    assert (len(host.comments), job.summary.read_text()) == (3, REPORT)


def test_user_info_of_an_address_is_not_quoted(host: HostingStub, job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert job.comment(host, GITHUB_API_URL="https://anna:s3cret@host.example/api") == 64
    assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_host_is_asked_again(host: HostingStub, job: Job, no_pauses: list[float], status: int) -> None:
    left: list[Refusal] = [(status, {"Retry-After": "2"}), (status, {})]
    host.refuse = lambda method, _: left.pop() if method == "POST" and left else None

    code = job.comment(host)

    assert (code, [one["body"] for one in host.comments], no_pauses) == (0, [REPORT], [1.0, 2.0])


def test_a_comment_that_was_added_though_the_host_answered_502_is_not_added_twice(host: HostingStub, job: Job) -> None:
    left: list[Refusal] = [(502, {})]

    def refuse(method: str, _: str) -> Refusal | None:
        if method != "POST" or not left:
            return None
        host.add(REPORT, login=BOT, kind="Bot")
        return left.pop()

    host.refuse = refuse

    assert job.comment(host) == 0
    assert [one["body"] for one in host.comments] == [REPORT]
    assert not job.summary.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"GITHUB_TOKEN": ""}, "there is no GITHUB_TOKEN"),
        ({"GITHUB_EVENT_PATH": ""}, "does not belong to a pull request"),
        ({"GITHUB_API_URL": "http://127.0.0.1:1"}, "Connection refused"),
    ],
)
def test_without_a_way_to_comment_the_report_is_in_the_summary(
    host: HostingStub, job: Job, capsys: pytest.CaptureFixture[str], changes: dict[str, str], reason: str
) -> None:
    code = job.comment(host, **changes)

    assert (code, host.asked, job.summary.read_text()) == (0, [], REPORT)
    assert reason in capsys.readouterr().err


def test_a_missing_report_does_not_fail_the_job(host: HostingStub, job: Job) -> None:
    (job.folder / "report.md").unlink()

    assert (job.comment(host), host.asked) == (0, [])


def test_the_token_goes_to_no_other_address(host: HostingStub, job: Job) -> None:
    with hosting_stub() as other:
        host.refuse = lambda method, _: (302, {"Location": f"{other.url}/user"}) if method == "POST" else None

        code = job.comment(host)

        assert (code, other.asked) == (0, [])


def test_a_merge_request_s_note_is_created_and_updated(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    with hosting_stub(login="project_1_bot") as host:
        gitlab = {
            "GITHUB_ACTIONS": "",
            "GITLAB_CI": "true",
            "CI_API_V4_URL": host.url,
            "CI_PROJECT_ID": "12",
            "CI_MERGE_REQUEST_IID": "3",
            "GITLAB_TOKEN": "t0ken",
        }
        others = host.add(REPORT, author=8)
        codes = [job.comment(host, **gitlab)]
        (job.folder / "report.md").write_text(f"{REPORT}better\n")
        codes.append(job.comment(host, **gitlab))

        assert codes == [0, 0]
        assert [one["body"] for one in host.comments] == [others["body"], f"{REPORT}better\n"]
        assert ("PUT", "/projects/12/merge_requests/3/notes/2") in host.asked
        assert "updated the comment on !3" in capsys.readouterr().err


def test_a_report_longer_than_a_comment_is_cut_to_what_github_takes(job: Job, host: HostingStub) -> None:
    (job.folder / "report.md").write_text(REPORT + "x" * 70_000)

    assert job.comment(host) == 0

    [comment] = host.comments
    assert len(comment["body"]) <= 65_536
    assert comment["body"].endswith("… cut: the report is longer than a comment.\n")
