"""``sightline issues``: keeps issues of a tracker in step with component barriers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from producer.cli.ci import ci_system, harmless
from producer.cli.connect import environment, with_client
from producer.cli.terminal import NamingGroup, is_for_people
from producer.errors import InputError, ServiceError
from producer.reports.jsonl import line_of
from producer.reports.plain_text import counted, one_line

if TYPE_CHECKING:
    from producer.trackers.api import ApiFault
    from producer.trackers.plan import Plan, Step
    from producer.trackers.seen import Seen
    from producer.trackers.tracker import Tracker

_DONE: Final = {"open": "opened", "update": "updated", "close": "closed", "reopen": "reopened", "merge": "closed"}
_OF_ONE_ISSUE: Final = frozenset({400, 409, 422})
"""Statuses with which a host refuses one issue, such as one whose text became too long; the others may be written."""
_SHOWN: Final = 3
_HINTS: Final = {
    401: "the token was refused: has it expired, or is it for another host?",
    403: "the token may not do this: it needs issues: write (GitHub) or the scope api (GitLab)",
    404: "no such project, or the token may not see it: check --project and the token",
    410: "issues are switched off in this project",
}


@click.group(cls=NamingGroup)
def issues() -> None:
    """Keep issues of a tracker in step with component barriers."""


@issues.command(short_help="Open, update, close and reopen issues.")
@click.argument("report", required=False, type=click.Path(), metavar="[REPORT]")
@click.option("--to", type=click.Choice(["github", "gitlab", "json"]), required=True, help="Tracker of the issues.")
@click.option("--site", metavar="HOST", help="Use the whole history of this site instead of REPORT.")
@click.option("--apply", "is_applied", is_flag=True, help="Carry out the plan; otherwise nothing is written.")
@click.option(
    "--project", default="", metavar="P", help="owner/name, or a GitLab project's number.  [default: the CI job's]"
)
@click.option(
    "--impact",
    type=click.Choice(["minor", "moderate", "serious", "critical"]),
    default="minor",
    show_default=True,
    help="Open issues for this impact or worse.",
)
@click.option(
    "--max-open",
    type=click.IntRange(0, 10_000),
    default=50,
    show_default=True,
    help="Maximum number of issues to open.",
)
@click.option("--label", default="sightline", show_default=True, metavar="L", help="Label that marks the issues.")
@click.option("--waivers", type=click.Path(), metavar="FILE", help="Keep waivers in this sightline.toml, not in Redis.")
@click.option("--output", "-o", type=click.Path(), default="issues.json", show_default=True, help="File for --to json.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON per step. Default in a pipe outside CI.")
def sync(
    *,
    report: str | None,
    to: str,
    site: str | None,
    is_applied: bool,
    project: str,
    impact: str,
    max_open: int,
    label: str,
    waivers: str | None,
    output: str,
    as_json: bool,
) -> None:
    """Keep one issue per component barrier: opened, updated, closed when fixed, reopened when back.

    Issues are recognised by their label and a hidden line, never by the title. Prints the plan; --apply carries it
    out. Issues with the label wontfix or a11y-waived become waivers, in Redis (where REDIS_URL is set) or in FILE.

    \b
    sightline scan --file urls.txt --local --format json=report.json
    sightline issues sync report.json --to github
    sightline issues sync report.json --to github --apply --waivers sightline.toml
    sightline issues sync --site shop.example --to gitlab --project shop/web --apply

    REPORT is a file written by 'sightline scan' or 'sightline result' with --format json. An issue is closed once all
    its pages were scanned completely, by the same rules, without the barrier. Tokens are read from GITHUB_TOKEN or
    GITLAB_TOKEN, or from the file named by GITHUB_TOKEN_FILE or GITLAB_TOKEN_FILE.
    """
    if (report is None) == (site is None):
        raise click.UsageError("give one of REPORT and --site HOST")
    as_json = as_json or not is_for_people()
    from producer.contract import Impact
    from producer.trackers.api import ApiFault
    from producer.trackers.opening import open_tracker
    from producer.trackers.plan import make_plan

    tracker = open_tracker(to, environment(), project=project, output=output, label=label)
    seen = _seen(report, site)
    try:
        plan = make_plan(seen, tracker.issues(), impact=Impact(impact), max_opened=max_open)
        _print_notes(plan, as_json=as_json)
        refused = _carry_out(tracker, plan, is_applied=is_applied, as_json=as_json)
    except ApiFault as fault:
        raise _error(fault) from None
    _keep(plan, waivers, is_applied=is_applied, as_json=as_json)
    if not as_json:
        _print_end(plan, tracker, is_applied=is_applied)
    if refused:
        raise InputError(f"{counted(len(refused), 'step')} refused, all others done: {'; '.join(refused[:_SHOWN])}")


def _seen(report: str | None, site: str | None) -> Seen:
    if site is not None:
        from producer.trackers.history import seen_on

        return with_client(lambda client: seen_on(client, site))
    from producer.text_file import read_text
    from producer.trackers.seen import read_report

    assert report is not None  # noqa: S101  one of the two is given
    try:
        text = read_text(report)
    except OSError as error:
        raise InputError(f"cannot read the report {report!r}: {error.strerror}") from None
    return read_report(text, report)


def _carry_out(tracker: Tracker, plan: Plan, *, is_applied: bool, as_json: bool) -> list[str]:
    """Do the steps and print them; return why the host refused some. Raises ``ApiFault`` for any other failure."""
    from producer.trackers.api import ApiFault

    refused: list[str] = []
    for step in plan.steps:
        try:
            number = _do(tracker, step) if is_applied else step.number
        except ApiFault as fault:
            if fault.status not in _OF_ONE_ISSUE:
                raise
            refused.append(str(fault))
        else:
            _print_step(step, number, is_done=is_applied, as_json=as_json)
    return refused


def _do(tracker: Tracker, step: Step) -> int:
    """Do one step; return the issue's number. Raises ``ApiFault``."""
    if step.kind == "open":
        return tracker.create(step.title, step.body).number
    if step.kind == "merge":
        tracker.update(step.number, is_open=False, refused=True)
    else:
        is_open = {"close": False, "reopen": True}.get(step.kind)
        tracker.update(step.number, body=step.body, is_open=is_open)
    return step.number


def _keep(plan: Plan, waivers: str | None, *, is_applied: bool, as_json: bool) -> None:
    """Save the waivers, or print those that would be saved."""
    for one in plan.waivers:
        about = {"v": 1, "step": "waive", "issue_id": one.fingerprint, "reason": one.reason, "done": is_applied}
        click.echo(line_of(about) if as_json else f"waive   {one.fingerprint}  {harmless(one_line(one.reason))}")
    if not is_applied:
        return
    if waivers is not None:
        from producer.trackers.waivers import write_waivers

        write_waivers(Path(waivers), plan.waivers)
    elif environment().get("REDIS_URL", "").strip():
        from producer.stored.waivers import Waivers
        from producer.trackers.waivers import keep_waivers

        with_client(lambda client: keep_waivers(Waivers(client), plan.waivers, plan.unlabelled))
    elif plan.waivers:
        raise InputError(
            "the waivers were not saved: use --waivers sightline.toml, or set REDIS_URL; everything else was done"
        )


def _print_notes(plan: Plan, *, as_json: bool) -> None:
    for note in plan.notes:
        click.echo(f"sightline: {harmless(note)}", err=as_json)


def _print_step(step: Step, number: int, *, is_done: bool, as_json: bool) -> None:
    if as_json:
        about = {"step": step.kind, "issue_id": step.issue_id, "number": number or None, "title": step.title}
        click.echo(line_of({"v": 1, **about, "why": step.why, "done": is_done}))
        return
    word = _DONE[step.kind] if is_done else step.kind
    place = f"#{number} " if number else ""
    title = one_line(step.title, limit=100)
    shown = f"{word:<8}{step.issue_id}  {place}{title} ({step.why})"
    click.echo(harmless(shown) if ci_system(environment()) else shown)


def _print_end(plan: Plan, tracker: Tracker, *, is_applied: bool) -> None:
    if not plan.steps:
        click.echo(f"{one_line(tracker.name)}: nothing to do")
    elif not is_applied:
        click.echo("Nothing was written: this was the plan. --apply carries it out.")


def _error(fault: ApiFault) -> InputError | ServiceError:
    """Return the error for a refusal, with advice, or for a host that is unavailable."""
    is_limited = "try again in" in str(fault)
    hint = "" if is_limited else _HINTS.get(fault.status, "")
    if hint:
        return InputError(f"{fault}; {hint}; the steps printed above are done")
    return ServiceError(f"{fault}; the steps printed above are done; sync again for the rest")
