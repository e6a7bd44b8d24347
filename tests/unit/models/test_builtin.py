from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from producer.contract import Assessment, Impact
from producer.errors import ModelError, SettingsError
from tests.support.scans import finding, scan_result, wrong_vector
from worker.agent.prompts import assess_task
from worker.models.builtin.models import DIMS, BuiltinChat, BuiltinEmbedder, hash_text
from worker.models.protocols import Message, check_vector
from worker.models.routing import check_name


def distance(first: str, second: str) -> float:
    return 1 - float(hash_text(first) @ hash_text(second))


async def test_the_builtin_assessment_puts_the_worst_first_and_names_its_source():
    page = scan_result(
        finding("region", "a", "b", "c", impact=Impact.MODERATE, category="keyboard", criteria=()),
        finding("color-contrast", "d", impact=Impact.SERIOUS, category="color"),
        finding("label", "e", "f", impact=Impact.SERIOUS, category="forms"),
        finding("image-alt", "g", impact=Impact.CRITICAL),
    )

    reply = await BuiltinChat().chat(assess_task(page, None, {"label": 3}).messages, schema={"type": "object"})

    answer = Assessment.model_validate_json(reply.text)
    assert [one.fingerprint for one in answer.priorities] == [
        "f-image-alt", "f-label", "f-color-contrast", "f-region",
    ]  # fmt: skip
    assert answer.summary.startswith("4 rules failed on 7 elements: 1 critical, 2 serious, 1 moderate.")
    assert "image-alt" in answer.summary
    assert "forms" in answer.priorities[1].who
    assert "3 similar pages" in answer.priorities[1].why
    assert answer.priorities[0].fix == "Fix: give it an alt"
    assert reply.model == "builtin"


async def test_the_builtin_model_says_what_it_is_instead_of_answering_a_question():
    reply = await BuiltinChat().chat([Message("user", "Which page is worst?")])

    assert "built-in" in reply.text


async def test_a_question_of_brackets_is_a_question_like_any_other():
    reply = await BuiltinChat().chat([Message("user", "[" * 4_000)])

    assert "built-in model" in reply.text


async def test_the_builtin_model_refuses_json_for_a_task_it_does_not_know():
    messages = [Message("user", json.dumps({"task": "poem"}))]

    with pytest.raises(ModelError, match="only writes assessments"):
        await BuiltinChat().chat(messages, schema={"type": "object"})


@pytest.mark.parametrize("text", ["", "   ", "images need alternative text", "ünïcödé 画像", "x" * 100_000, "\ud800"])
async def test_every_text_gets_a_unit_vector(text: str):
    reply = await BuiltinEmbedder().embed_documents([text])

    assert reply.vectors.shape == (1, DIMS)
    check_vector(reply.vectors[0], dims=DIMS, model="builtin")


async def test_no_texts_give_no_vectors():
    reply = await BuiltinEmbedder().embed_documents([])

    assert reply.vectors.shape == (0, DIMS)


def test_related_texts_are_nearer_than_unrelated_ones():
    text = "Images must have alternative text"

    assert distance(text, "images MUST have alternative text!") < 0.01
    assert distance(text, "The image has no alternative text") < 0.6
    assert distance(text, "Buttons and colour contrast of the footer") > 0.7


def test_a_vector_is_the_same_in_every_process():
    code = "from worker.models.builtin.models import hash_text; print(hash_text('form label missing').tobytes().hex())"

    other = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": "7"}
    )

    assert other.stdout.strip() == hash_text("form label missing").tobytes().hex()


@pytest.mark.parametrize(
    "vector",
    [
        wrong_vector(DIMS - 1),
        wrong_vector(DIMS) * 2,
        wrong_vector(DIMS) * np.float32("nan"),
        wrong_vector(DIMS).astype(np.float64),
    ],
    ids=["short", "long", "nan", "float64"],
)
def test_a_vector_that_does_not_fit_is_refused(vector: np.ndarray):
    with pytest.raises(ModelError, match="nomic"):
        check_vector(vector, dims=DIMS, model="nomic")


@pytest.mark.parametrize("name", ["", "no such model", "-x", "x" * 201])
def test_a_name_that_cannot_be_a_model_s_is_refused(name: str):
    with pytest.raises(SettingsError, match=r"CHAT_MODEL is .* expected a model's name such as"):
        check_name("CHAT_MODEL", name)
