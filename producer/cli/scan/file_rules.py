"""The gate settings of ``sightline.toml`` without an option in ``scan``: waivers, rules that do not count, limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from producer.cli.scan.by_file import Wanted
from producer.cli.scan.gate import Gate, RuleWaiver
from producer.cli.scan.limits import Limits
from producer.contract.waiver import Waiver


@dataclass(frozen=True, slots=True)
class FileRules:
    """The waivers (``waivers`` by fingerprint) and limits of a file named ``shown``."""

    waivers: tuple[Waiver, ...] = ()
    rule_waivers: tuple[RuleWaiver, ...] = ()
    limits: Limits = field(default_factory=Limits)
    count_review: frozenset[str] = frozenset()
    shown: str = ""

    def put_into(self, gate: Gate, *, today: date) -> None:
        """Apply the rules that count and the waivers, in force or expired ``today`` (UTC), to a gate."""
        gate.today, gate.rule_waivers = today, self.rule_waivers
        gate.count_review = self.count_review
        gate.take_waivers(self.waivers, today=today)


def file_rules(wanted: Wanted) -> FileRules:
    """Return the rules of a run; without a file only those of its options."""
    gate = wanted.gate
    if gate is None or wanted.config is None:
        return FileRules(limits=Limits(new=wanted.options.max_new))
    by_rule = [
        RuleWaiver(Waiver("", one.reason, one.until), frozenset({one.rule}), tuple(one.match))
        for one in wanted.waivers
        if one.rule
    ]
    shown = wanted.config.shown
    if gate.report_only:
        reason = f"only reported, by gate.report_only of {shown}"
        by_rule.append(RuleWaiver(Waiver("", reason), frozenset(gate.report_only)))
    if gate.rules:
        reason = f"only reported, since gate.rules of {shown} does not name the rule"
        by_rule.append(RuleWaiver(Waiver("", reason), frozenset(gate.rules), is_others=True))
    most = gate.max
    return FileRules(
        tuple(Waiver(one.fingerprint, one.reason, one.until) for one in wanted.waivers if one.fingerprint),
        tuple(by_rule),
        Limits(most.total, most.review, wanted.options.max_new, most.groups, most.rules),
        frozenset(gate.count_review),
        shown,
    )
