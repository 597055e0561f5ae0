"""Answers of the exchange on their way out."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from exchange.desk import Answer
from exchange.rules import Refusal
from exchange.venue import STATUSES
from market.problems import ProblemError
from market.wire import encode

Errors = list[dict[str, str]]
"""Fields, and what is wrong with each."""

GRID_CODES: Final = frozenset({"tick-size", "lot-size"})


def json(value: object, status: int = 200) -> Response:
    """Return ``value`` as JSON, its decimals as exact numbers."""
    return Response(encode(value), status_code=status, media_type="application/json")


def refused(refusal: Refusal) -> ProblemError:
    """Return the problem that a refusal is."""
    headers = {"Retry-After": "1"} if STATUSES.get(refusal.code) == 503 else None
    return ProblemError(
        STATUSES.get(refusal.code, 422), refusal.code, f"{refusal.reason}.", headers=headers
    )


def off_grid(refusal: Refusal, errors: Errors) -> ProblemError:
    """Return the problem of an order off its grids, every field of it named."""
    told = "; ".join(f"{error['field']} {error['problem']}" for error in errors)
    return ProblemError(422, refusal.code, f"{told or refusal.reason}.", errors=errors)


def ill_made(refusal: Refusal, problems: Mapping[str, str]) -> ProblemError:
    """Return the problem of an order that is wrong in itself, by the fields that are."""
    errors = [{"field": field, "problem": text} for field, text in problems.items()]
    told = "; ".join(problems.values()) or refusal.reason
    return ProblemError(422, refusal.code, f"{told}.", errors=errors)


def answered(answer: Answer) -> Response:
    """Return the one order of an answer; raise the problem when it was refused."""
    if answer.refusal is not None:
        raise refused(answer.refusal)
    return json(answer.orders[0])
