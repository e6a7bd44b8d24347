"""A vision model gets a page's pictures with their texts, over Ollama's protocol."""

from __future__ import annotations

import base64
import json
from typing import Any

from redis.asyncio import Redis

from producer.client.client import Client
from producer.keys import Keys
from tests.support.assessed import assessed_scan
from tests.support.ollama_protocol import CHAT, EMBED, StubModel
from tests.support.ollama_server import OllamaServer
from tests.support.scan_worker import StartScanWorker
from tests.support.small_site import SmallSite

WAIT_S = 120.0
EYES = StubModel(CHAT.name, capabilities=("completion", "tools", "vision"))
DRAWING = b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='99%' height='99%'/></svg>"
SOURCE = b"data:image/svg+xml;base64," + base64.b64encode(DRAWING)
PAGE = b"""<!doctype html><html lang="en"><title>Harbour walks</title><main><h1>Harbour walks</h1>
<img src="%s" alt="A red lighthouse by the sea" width="900" height="300"><p>Open all year round.</p>
<img src="/gone.png" alt="A ferry that leaves the old harbour" width="300" height="200"></main></html>""".replace(
    b"%s", SOURCE
)


def sees_a_square(body: dict[str, Any]) -> str:
    said = {"element": "e1", "verdict": "barrier", "confidence": "high", "why": "It shows a black square."}
    return json.dumps({"judgements": [said] if body["messages"][1].get("images") else []})


async def test_a_text_that_says_something_else_than_its_picture_needs_review(
    start_worker: StartScanWorker, client: Client, site: SmallSite, redis: Redis, keys: Keys
):
    site.files["/walks"] = PAGE
    async with OllamaServer(EYES, EMBED) as ollama:
        ollama.answer_of = sees_a_square
        start_worker(OLLAMA_BASE_URL=ollama.url, CHAT_MODEL=EYES.name, NAMES_JUDGED="12", PICTURES_JUDGED="4")
        job = await client.submit("scan", {"url": f"{site.url}/walks"})
        seen = await assessed_scan(client, job.job_id, timeout_s=WAIT_S)
        asked = [call.body["messages"] for call in ollama.calls()]
        ttl_s = await redis.ttl(keys.shot(job.job_id))

    ((image,),) = [messages[1]["images"] for messages in asked if messages[1].get("images")]
    picture = base64.b64decode(image, validate=True)
    (finding,) = [one for one in seen.incomplete if one.rule == "alt-meaning"]
    assert "It shows a black square." in finding.nodes[0].failure_summary
    assert (picture[:3], b"\xff\xc0\x00\x11\x08" in picture) == (b"\xff\xd8\xff", True)
    start = picture.index(b"\xff\xc0\x00\x11\x08") + 5
    assert [int.from_bytes(picture[at : at + 2]) for at in (start + 2, start)] == [448, 149]
    assert 0 < ttl_s <= 86_400
    assert seen.screenshot is None
