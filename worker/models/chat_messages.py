"""Converts messages and tools to the form that LangChain's chat models take."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from producer.contract import JsonObject
from worker.models.protocols import Message, Tool


def sent(message: Message) -> BaseMessage:
    """Return ``message`` in LangChain's form."""
    match message.role:
        case "system":
            return SystemMessage(message.content)
        case "user":
            return HumanMessage(_parts(message) if message.images else message.content)
        case "tool":
            return ToolMessage(message.content, tool_call_id=message.call_id)
        case "assistant":
            calls = [{"name": call.name, "args": call.arguments, "id": call.id} for call in message.calls]
            return AIMessage(message.content, tool_calls=calls)


def _parts(message: Message) -> list[str | dict[Any, Any]]:
    """Return the text and then the images: langchain-ollama sends images as Ollama's ``images``, in base64."""
    urls = (f"data:image/jpeg;base64,{b64encode(image).decode()}" for image in message.images)
    return [{"type": "text", "text": message.content}, *({"type": "image_url", "image_url": url} for url in urls)]


def tool_offer(tool: Tool) -> JsonObject:
    """Return ``tool`` in the form of Ollama's and OpenAI's requests."""
    about = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": about}
