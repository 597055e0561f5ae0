"""Answers of the exchange on their way out."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from exchange.desk import Answer
from exchange.rules import MISFIT, Refusal
from exchange.venue import STATUSES
from market.problems import ProblemError
from market.wire import encode

ILL_MADE: Final = frozenset({"tick-size", "lot-size", MISFIT})
"""The codes of an order that is wrong in itself, in its numbers or in what goes together."""


def json(value: object, status: int = 200) -> Response:
    """Return ``value`` as JSON, its decimals as exact numbers."""
    return Response(encode(value), status_code=status, media_type="application/json")


def refused(refusal: Refusal) -> ProblemError:
    """Return the problem that a refusal is."""
    headers = {"Retry-After": "1"} if STATUSES.get(refusal.code) == 503 else None
    return ProblemError(
        STATUSES.get(refusal.code, 422), refusal.code, f"{refusal.reason}.", headers=headers
    )


def ill_made(refusal: Refusal, *found: Mapping[str, str]) -> ProblemError:
    """Return the problem of an order or of terms that are wrong in themselves.

    Args:
        found: fields, and what is wrong with each; what is said first of a field is told.
    """
    problems: dict[str, str] = {}
    for each in found:
        problems |= {field: text for field, text in each.items() if field not in problems}
    errors = [{"field": field, "problem": text} for field, text in problems.items()]
    told = "; ".join(f"{field} {text}" for field, text in problems.items())
    return ProblemError(422, refusal.code, f"{told or refusal.reason}.", errors=errors)


def answered(answer: Answer) -> Response:
    """Return the one order of an answer; raise the problem when it was refused."""
    if answer.refusal is not None:
        raise refused(answer.refusal)
    return json(answer.orders[0])
