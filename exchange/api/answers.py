"""Answers of the exchange on their way out."""

from starlette.responses import Response

from exchange.desk import Answer
from exchange.rules import Refusal
from exchange.venue import STATUSES
from market.problems import ProblemError
from market.wire import encode


def json(value: object, status: int = 200) -> Response:
    """Return ``value`` as JSON, its decimals as exact numbers."""
    return Response(encode(value), status_code=status, media_type="application/json")


def refused(refusal: Refusal) -> ProblemError:
    """Return the problem that a refusal is."""
    headers = {"Retry-After": "1"} if STATUSES.get(refusal.code) == 503 else None
    return ProblemError(
        STATUSES.get(refusal.code, 422), refusal.code, f"{refusal.reason}.", headers=headers
    )


def answered(answer: Answer) -> Response:
    """Return the one order of an answer; raise the problem when it was refused."""
    if answer.refusal is not None:
        raise refused(answer.refusal)
    return json(answer.orders[0])
