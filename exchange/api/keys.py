"""Who may act for which account, and how often."""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from typing import Final

from starlette.requests import Request

from market.problems import ProblemError

REMEMBERED: Final = 10_000
"""Accounts whose pace is remembered at once."""


class Keys:
    """With keys set, an account's routes need its own key; with none, everyone may do everything.

    Args:
        secrets: the secret of each account that has one.
        operators: those among them whose key may stop and open trading, too.
        orders_per_s: how many orders an account may place or amend a second, in bursts of as
            many; 0 is no bound. Cancels do not count: whoever is over it can still get out.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        orders_per_s: float,
        now: Callable[[], float],
        *,
        operators: Collection[str] = (),
    ) -> None:
        self._secrets = {name: secret.encode() for name, secret in secrets.items()}
        self._known = {_digest(secret) for secret in self._secrets.values()}
        self._operators = [self._secrets[name] for name in operators]
        self._rate, self._now = orders_per_s, now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, request: Request) -> bytes:
        """Return the key of a request; raise the 401 or 403 problem when it needs one of ours."""
        given = _given(request)
        if given is None and self._secrets:
            raise ProblemError(
                401,
                "key-missing",
                "This needs the key of an account: Authorization: Bearer SECRET, or X-API-Key.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if given is not None and self._secrets and _digest(given) not in self._known:
            raise ProblemError(403, "key-refused", "This key is no account's.")
        return given or b""

    def admit(self, request: Request, account: str) -> None:
        """Raise the 401 or 403 problem unless the request carries the key of ``account``."""
        if not self.opens(self.check(request), account):
            raise ProblemError(403, "key-refused", "This key is not that account's.")

    def opens(self, key: bytes, account: str) -> bool:
        """Return whether a key that `check` gave is that of ``account``; without keys any is."""
        expected = self._secrets.get(account, b"")
        matches = hmac.compare_digest(key, expected or b"\0")
        return not self._secrets or (matches and bool(expected))

    def admit_operator(self, request: Request) -> None:
        """Raise the 401 or 403 problem unless the request carries the key of an operator."""
        given = self.check(request)
        if not self._secrets:
            return
        if not any(hmac.compare_digest(given, expected) for expected in self._operators):
            raise ProblemError(403, "key-refused", "This key is no operator's; see OPERATORS.")

    def pace(self, account: str) -> None:
        """Count an order or amendment of ``account``; raise the 429 problem when it is too many."""
        if not self._rate:
            return
        now, burst = self._now(), max(1.0, self._rate)
        left, since = self._buckets.pop(account, (burst, now))
        left = min(burst, left + (now - since) * self._rate)
        if left < 1:
            self._buckets[account] = (left, now)
            wait_s = max(1, round((1 - left) / self._rate + 0.5))
            raise ProblemError(
                429,
                "too-many-orders",
                f"Over {self._rate:g} orders a second.",
                headers={"Retry-After": str(wait_s)},
            )
        self._buckets[account] = (left - 1, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)


def _digest(secret: bytes) -> bytes:
    """Return what a secret is looked up by: how long that takes says nothing about it."""
    return blake2b(secret).digest()


def _given(request: Request) -> bytes | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip(" \t").encode("latin-1")  # as it came: headers are read as Latin-1
    key = request.headers.get("x-api-key")
    return key.encode("latin-1") if key else None
