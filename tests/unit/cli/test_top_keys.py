"""Keys of the live board: selection and actions. Nothing is cancelled without confirmation."""

from __future__ import annotations

from producer.cli.top_keys import BoardAction, View, keys_of, pressed

ROWS = ("batch:nightly", "job:nightly-1", "job:nightly-2")


def after(typed: str, view: View | None = None) -> tuple[View, list[BoardAction]]:
    view, actions = view or View(), list[BoardAction]()
    for key in keys_of(typed):
        view, action = pressed(view, key, ROWS)
        actions += [action] if action else []
    return view, actions


def test_arrows_and_letters_choose_a_line_and_stop_at_the_ends() -> None:
    assert after("\x1b[B")[0].chosen == "batch:nightly"
    assert after("jjjjj")[0].chosen == "job:nightly-2"
    assert after("jj\x1b[A\x1b[A\x1b[A")[0].chosen == "batch:nightly"
    assert after("j", View(chosen="job:gone"))[0].chosen == "batch:nightly"


def test_a_batch_is_paused_and_opened_at_once_and_cancelled_after_a_yes_only() -> None:
    assert after("jpo")[1] == [BoardAction("pause", "batch:nightly"), BoardAction("open", "batch:nightly")]
    assert after("jcy")[1] == [BoardAction("cancel", "batch:nightly")]
    view, actions = after("jc")
    assert (view.footer, actions) == ("cancel batch nightly? press y to cancel it, any other key to keep it", [])
    assert after("jcn")[1] == after("jcjy")[1] == []


def test_without_a_choice_nothing_is_done_and_it_says_so() -> None:
    view, actions = after("c")

    assert (actions, view.asks) == ([], "")
    assert "choose a batch or a job first" in view.footer
    assert after("p", View(chosen="job:gone"))[1] == []


def test_jobs_are_sorted_in_turn_and_any_key_but_q_closes_what_was_opened() -> None:
    assert [after("s" * times)[0].sort for times in range(4)] == ["worker", "longest", "batch", "worker"]
    assert after("c", View(chosen=ROWS[0], opened="batch nightly: running"))[0].opened == ""
    assert (
        after("q", View(opened="x"))[1]
        == after("q")[1]
        == after("\x03", View(asks=ROWS[0]))[1]
        == [BoardAction("quit")]
    )
