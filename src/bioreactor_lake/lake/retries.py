"""The one rule of trying again: what can pass by itself, a few times, some seconds apart, and never in silence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from bioreactor_lake.errors import UsageError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

_FIELDS = ("attempts", "wait_seconds", "scheduled_wait_seconds")
_USUAL = {"attempts": 3, "wait_seconds": 2, "scheduled_wait_seconds": 60}
_WHERE = "See conf/base/parameters_retries.yml."


@dataclass(frozen=True)
class RetryRule:
    """How often something is tried, and how long it waits in between.

    Args:
        attempts: How often in all; 1 for never again.
        wait_seconds: Time between two attempts.
    """

    attempts: int = 3
    wait_seconds: float = 2

    def carry_out(
        self,
        action: Callable[[], Result],
        *,
        what: str,
        can_pass: Callable[[BaseException], bool],
        explain: Callable[[BaseException], str] = str,
    ) -> Result:
        """Do something, and again where its error can pass by itself; each time is logged with its reason.

        Args:
            action: What to do. It leaves nothing half done when it raises.
            what: What it is, as the beginning of a sentence: "Publishing marts.x to db:5432/lake".
            can_pass: Whether an error may be gone at the next attempt.
            explain: An error in words, of which the first line is logged.
        """

        def say(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome is not None else None
            reason = explain(error) if error is not None else ""
            logger.warning(
                "%s failed (attempt %d of %d), trying again in %g s: %s",
                what, state.attempt_number, self.attempts, self.wait_seconds, next(iter(reason.splitlines()), ""),
            )  # fmt: skip

        return Retrying(
            retry=retry_if_exception(can_pass),
            stop=stop_after_attempt(self.attempts),
            wait=wait_fixed(self.wait_seconds),
            before_sleep=say,
            reraise=True,
        )(action)


@dataclass(frozen=True)
class RetryRules:
    """The parameter group `retries`: the rule, and what differs from it in some layers.

    Args:
        usual: The rule.
        layers: The rules of layers that have one of their own.
    """

    usual: RetryRule = field(default_factory=RetryRule)
    layers: Mapping[str, RetryRule] = field(default_factory=dict)

    def rule_for(self, tags: Iterable[str]) -> RetryRule:
        """The rule for a node, whose tags name its layer."""
        return next((self.layers[tag] for tag in sorted(tags) if tag in self.layers), self.usual)

    @classmethod
    def from_parameters(cls, given: Mapping[str, Any], *, layers: Iterable[str], scheduled: bool) -> RetryRules:
        """Build the rules from the parameter group `retries`.

        Args:
            given: The group.
            layers: The layers that there are.
            scheduled: Whether a scheduler waits, and nobody at a terminal.

        Raises:
            UsageError: A name is not known, or its value is none that it can have.

        >>> given = {"layers": {"marts": {"attempts": 5}}}
        >>> RetryRules.from_parameters(given, layers=["marts"], scheduled=True).rule_for(["marts"])
        RetryRule(attempts=5, wait_seconds=60)
        """
        known = tuple(layers)
        own = {name: value for name, value in given.items() if name != "layers"}
        usual = _checked({**_USUAL, **_checked(own, "retries")}, "retries")
        by_layer = {}
        for layer, differing in (given.get("layers") or {}).items():
            if layer not in known:
                raise UsageError(
                    f"Parameter retries.layers names {layer!r}, which is no layer.",
                    next_step=f"Use one of: {', '.join(known)}.",
                )
            by_layer[layer] = _rule({**usual, **_checked(differing or {}, f"retries.layers.{layer}")}, scheduled)
        return cls(_rule(usual, scheduled), by_layer)


def with_own(rule: RetryRule, attempts: int | None, wait_seconds: float | None) -> RetryRule:
    """A rule with the values that one dataset has of its own."""
    if attempts is not None:
        rule = replace(rule, attempts=attempts)
    return rule if wait_seconds is None else replace(rule, wait_seconds=wait_seconds)


def _rule(values: Mapping[str, Any], scheduled: bool) -> RetryRule:
    return RetryRule(values["attempts"], values["scheduled_wait_seconds" if scheduled else "wait_seconds"])


def _checked(values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise UsageError(f"Parameter {where} is {values!r}.", next_step=_WHERE)
    for name, value in values.items():
        if name not in _FIELDS:
            raise UsageError(
                f"Parameter {where} has {name!r}, which means nothing.", next_step=f"Use {', '.join(_FIELDS)}."
            )
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or value < 0 or (name == "attempts" and (value < 1 or value != int(value))):
            raise UsageError(f"Parameter {where}.{name} is {value!r}.", next_step=_WHERE)
    return dict(values)
