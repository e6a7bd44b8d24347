"""Names on a page that no rule can judge: a model is asked whether they are meaningful."""

from __future__ import annotations

from operator import not_
from typing import Self, TypedDict, Unpack

from pydantic import Field

from producer.contract.findings import Node
from producer.contract.message import Part


class NamedElementRevision(TypedDict, total=False):
    """The fields that can be replaced."""

    node: Node


class NamedElement(Part):
    """One element and its name.

    ``rule`` is the rule that would mark it for review, ``context`` the text around it, ``language`` the page's declared
    one.
    """

    rule: str
    name: str
    context: str = Field(default="", exclude_if=not_)
    language: str = Field(default="", exclude_if=not_)
    node: Node

    def revised(self, **changes: Unpack[NamedElementRevision]) -> Self:
        """Return a copy with ``changes``."""
        return self.model_copy(update=changes)
