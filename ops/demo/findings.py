"""Prints the demo's findings in a few lines each: component barriers, tried fixes, a page in use, answers.

Every text from a page goes through ``producer.reports.plain_text``: pages are hostile.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from producer.reports.components import by_component
from producer.reports.fixes import diff_lines, tried_text
from producer.reports.page import Page
from producer.reports.plain_text import counted, middle_cut, one_line, printable

COMPONENTS: Final = 4
FIXES: Final = 2


def print_components(pages: Sequence[Page], *, width: int) -> None:
    """Print the worst component barriers, with their elements and pages."""
    found = [one for one in by_component(pages) if one.issue_id]
    print(f"\nThe worst of {counted(len(found), 'component barrier')}")
    for one in found[:COMPONENTS]:
        where = one.places[0][0].path if one.page_count == 1 else counted(one.page_count, "page")
        numbers = f"{counted(one.node_count, 'element')} on {middle_cut(one_line(where), width // 4)}"
        room = max(width - len(numbers) - 14, 20)
        print(f"  {one.impact.value:<8}  {one_line(one.name, limit=room):<{room}}  {numbers}")


def print_fixes(pages: Sequence[Page], *, width: int) -> None:
    """Print the first tried fixes: the markup before and after, and the result as in the reports."""
    found = [(one, one.fix) for one in by_component(pages) if one.fix]
    print(f"\nChanges tried on the pages in a browser: {len(found):,} remove their barrier and add none, such as")
    for one, (fix, page) in found[:FIXES]:
        print(f"  {one_line(one.name, limit=width // 2)}, on {middle_cut(one_line(page.path), width // 3)}")
        for sign, text in diff_lines(fix):
            if sign in "+-":
                print(f"    {sign} {middle_cut(one_line(text), width - 6)}")
        print(f"    {one_line(tried_text(fix, page.url, of=one.node_count), limit=width - 4)}")


def print_live(pages: Sequence[Page], *, width: int) -> None:
    """Print the findings of the live checks, which need review: each rule, and what happened to an element."""
    for page in pages:
        if page.result is None or page.result.live is None:
            continue
        print(f"\n{one_line(page.path)} in use: live checks by keyboard and pointer, for a person to review")
        for finding in (one for one in page.result.incomplete if one.engine == "live"):
            about = f"({finding.rule}, {counted(finding.node_count, 'element')})"
            print(f"  {one_line(finding.help, limit=width - len(about) - 3)} {about}")
            for node in finding.nodes[:1]:
                said = node.failure_summary.partition("\n")[2]  # after "Look at this:"
                print(f"    {one_line(said, limit=width - 4)}")


def print_answers(answers: Sequence[tuple[str, str]], *, width: int) -> None:
    """Print each question and its answer."""
    for question, answer in answers:
        print(f"\n> {question}\n{textwrap.fill(printable(answer), width)}")
