"""Values of OLLAMA_BASE_URL, and the bounds of a prompt. Plain values."""

from __future__ import annotations

import httpx
import pytest
from ollama import ResponseError

from producer import errors
from producer.contract import Lane
from producer.errors import ContextExceeded, ModelError, SettingsError
from worker.gpu.hosts import Host, parse_hosts
from worker.models.context_budget import check_budget, check_evaluated, cut_to, fewest_tokens, likely_tokens
from worker.models.job_context import Serving, now_serving, serving
from worker.models.ollama.embed import unit_vectors
from worker.models.ollama.embedding_families import family_of
from worker.models.ollama.errors import model_errors
from worker.models.ollama.http import full_name
from worker.models.slot_calls import is_worth_another
from worker.settings import WorkerSettings


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("http://gpu1:11434", [Host("http://gpu1:11434", "http://gpu1:11434")]),
        ("http://gpu1:11434/", [Host("http://gpu1:11434", "http://gpu1:11434")]),
        (
            "http://gpu1:11434#chat=1,embed=1,http://gpu2:11434#chat=2,embed=0",
            [
                Host("http://gpu1:11434", "http://gpu1:11434", chat=1, embed=1),
                Host("http://gpu2:11434", "http://gpu2:11434", chat=2, embed=0),
            ],
        ),
        (
            "http://a:1, https://b/ollama ,",
            [Host("http://a:1", "http://a:1"), Host("https://b/ollama", "https://b/ollama")],
        ),
        ("http://me:pass@gpu1:1#chat=2", [Host("http://gpu1:1", "http://me:pass@gpu1:1", chat=2)]),
        ("http://[::1]:11434", [Host("http://[::1]:11434", "http://[::1]:11434")]),
    ],
)
def test_an_address_may_have_slots_and_neighbours(text: str, hosts: list[Host]):
    assert list(parse_hosts(text)) == hosts


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("gpu1:11434", "expected an address such as"),
        ("", "expected an address such as"),
        ("ftp://gpu1", "expected an address such as"),
        ("http://", "expected an address such as"),
        ("http://gpu1:port", "expected an address such as"),
        ("http://gpu1#chat=0", "has slots 'chat=0'"),
        ("http://gpu1#chat=65", "has slots 'chat=65'"),
        ("http://gpu1#chats=1", "has slots 'chats=1'"),
        ("http://gpu1#chat=-1", "has slots 'chat=-1'"),
        ("http://gpu1,http://gpu1#chat=2", "'http://gpu1' is given twice"),
        ("http://me:hunter2@gpu1#chat=x", "'http://gpu1' has slots 'chat=x'"),
    ],
)
def test_a_bad_address_is_refused_without_its_password(text: str, complaint: str):
    with pytest.raises(ValueError, match=r"expected an address|slots|twice") as caught:
        parse_hosts(text)

    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_settings_refuse_a_bad_address_and_show_no_password():
    settings = WorkerSettings.from_env({"OLLAMA_BASE_URL": "http://me:hunter2@gpu1:1#embed=0"})

    assert "hunter2" not in repr(settings)
    assert "http://gpu1:1#chat=1,embed=0" in repr(settings)
    with pytest.raises(SettingsError, match="OLLAMA_BASE_URL is 'gpu1:11434': expected an address"):
        WorkerSettings.from_env({"OLLAMA_BASE_URL": "gpu1:11434"})


# ---------------------------------------------------------------------------------------------- context


def test_a_prompt_must_leave_room_for_its_answer():
    texts = ["a" * 300, "b" * 2700]

    tokens = check_budget(texts, model="m", context=2048, max_output=1000)

    assert 1000 <= tokens <= 1048
    with pytest.raises(ContextExceeded, match="CHAT_NUM_CTX"):
        check_budget(texts, model="m", context=2048, max_output=1048)


@pytest.mark.parametrize(
    "text", ["", "plain words", "画像には代替テキストが必要です", '{"a": [1, 2, 3]}', "<div class='x'>"]
)
def test_the_bounds_of_a_text_are_in_order(text: str):
    assert fewest_tokens(text) <= likely_tokens(text)
    assert likely_tokens(text) >= len(text) / 4


def test_a_prompt_that_the_server_cut_is_noticed():
    texts = ["word " * 2000]

    check_evaluated(texts, 2001, model="m", context=8192)
    with pytest.raises(ContextExceeded, match="evaluated 1000 tokens"):
        check_evaluated(texts, 1000, model="m", context=8192)
    with pytest.raises(ContextExceeded, match="evaluated 4096 tokens"):
        check_evaluated(texts, 4096, model="m", context=4096)


@pytest.mark.parametrize("text", ["a" * 10_000, "画" * 10_000, "a画" * 5_000, "яü" * 3_000, "🙂" * 3_000])
def test_a_text_is_cut_to_what_surely_fits(text: str):
    cut = cut_to(text, 512)

    assert likely_tokens(cut) <= 512
    assert likely_tokens(text[: len(cut) + 4]) >= 512
    assert cut_to("short", 512) == "short"


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("raised", "expected", "is_retryable"),
    [
        (httpx.ConnectError("refused"), "ModelUnreachable", True),
        (ConnectionError("refused"), "ModelUnreachable", True),
        (httpx.ConnectTimeout("slow"), "ModelUnreachable", True),
        (httpx.ReadTimeout("slow"), "ModelTimeout", True),
        (TimeoutError(), "ModelTimeout", True),
        (httpx.RemoteProtocolError("gone"), "AnswerIncomplete", True),
        (httpx.ReadError("gone"), "AnswerIncomplete", True),
        (ResponseError("model 'm' not found", 404), "ModelMissing", False),
        (ResponseError("server busy", 503), "ModelBusy", True),
        (ResponseError("too many", 429), "ModelBusy", True),
        (ResponseError("bad gateway", 502), "ModelUnreachable", True),
        (ResponseError("no tools here", 400), "ModelRefused", False),
        (ResponseError("the input length exceeds the context length", 400), "ContextExceeded", False),
        (ResponseError('{"error":{"type":"exceed_context_size_error","n_ctx":512}}', 400), "ContextExceeded", False),
        (ResponseError("runner crashed", 500), "ModelError", True),
        (ResponseError("runner crashed"), "ModelError", True),
        (ValueError("No data received from Ollama stream."), "AnswerIncomplete", True),
        (AttributeError("'list' object has no attribute 'get'"), "AnswerIncomplete", True),
        (httpx.DecodingError("incorrect header check"), "AnswerIncomplete", True),
        (httpx.TooManyRedirects("Exceeded maximum allowed redirects."), "AnswerIncomplete", True),
        (IndexError("list index out of range"), "AnswerIncomplete", True),
        (RecursionError("maximum recursion depth exceeded"), "AnswerIncomplete", True),
        (MemoryError(), "AnswerIncomplete", True),
    ],
)
def test_every_failure_of_the_libraries_becomes_one_of_ours(raised: Exception, expected: str, is_retryable: bool):
    def fail() -> None:
        with model_errors("http://gpu1:1", "m"):
            raise raised

    with pytest.raises(ModelError) as caught:
        fail()

    assert type(caught.value) is getattr(errors, expected)
    assert caught.value.retryable is is_retryable
    assert "http://gpu1:1" in str(caught.value)


def test_a_missing_model_is_reported_with_the_command():
    def fail() -> None:
        with model_errors("http://gpu1:1", "qwen3.5:4b"):
            raise ResponseError("model 'qwen3.5:4b' not found", 404)

    with pytest.raises(ModelError, match=r"ollama pull qwen3\.5:4b$"):
        fail()


def test_a_call_that_timed_out_is_repeated_only_on_another_host():
    assert is_worth_another(errors.ModelTimeout(), has_elsewhere=True)
    assert not is_worth_another(errors.ModelTimeout(), has_elsewhere=False)
    assert is_worth_another(errors.AnswerIncomplete(), has_elsewhere=False)
    assert not is_worth_another(errors.AnswerTruncated(), has_elsewhere=True)


# ---------------------------------------------------------------------------------------------- names, vectors, jobs


def test_an_embedding_family_is_known_by_name_tag_and_namespace():
    assert family_of("nomic-embed-text").query == "search_query: "
    assert family_of("me/nomic-embed-text:v1.5").document == "search_document: "
    assert family_of("unheard-of").document == ""


def test_a_name_without_a_tag_means_latest():
    assert full_name("nomic-embed-text") == "nomic-embed-text:latest"
    assert full_name("reg.example:5000/me/m") == "reg.example:5000/me/m:latest"
    assert full_name("qwen3.5:4b") == "qwen3.5:4b"


def test_vectors_are_brought_to_unit_length():
    vectors = unit_vectors([[3.0, 4.0], [0.0, 0.0]])

    assert vectors.dtype == "float32"
    assert vectors.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]
    with pytest.raises(ValueError, match=r"shape|inhomogeneous"):
        unit_vectors([[1.0], [1.0, 2.0]])


def test_a_call_takes_the_priority_of_its_job():
    with serving("job-1", "interactive"):
        inside = now_serving()

    assert inside == Serving("job-1", Lane.INTERACTIVE)
    assert now_serving() == Serving("", Lane.BATCH)
