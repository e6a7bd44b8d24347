"""Our messages and tools in the form that LangChain's chat models take."""

from __future__ import annotations

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from producer.contract import JsonObject
from worker.models.protocols import Message, Tool


def sent(message: Message) -> BaseMessage:
    """Return ``message`` as LangChain has it."""
    match message.role:
        case "system":
            return SystemMessage(message.content)
        case "user":
            return HumanMessage(message.content)
        case "tool":
            return ToolMessage(message.content, tool_call_id=message.call_id)
        case "assistant":
            calls = [{"name": call.name, "args": call.arguments, "id": call.id} for call in message.calls]
            return AIMessage(message.content, tool_calls=calls)


def tool_offer(tool: Tool) -> JsonObject:
    """Return ``tool`` as Ollama and OpenAI have it in a request."""
    about = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": about}
