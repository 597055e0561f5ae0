"""Accounts over HTTP: look up, open, configure."""

from starlette.requests import Request
from starlette.responses import Response

from exchange.admission import TERM_CODES, unfit_terms
from exchange.api.answers import ill_made, json, refused
from exchange.api.keys import Keys
from exchange.api.requests import Configuration, check_name
from exchange.commands import ConfigureAccount
from exchange.desk import Desk
from exchange.rules import Refusal
from exchange.statement import AccountView
from market.bodies import read_body
from market.problems import ProblemError


class AccountsApi:
    """The handlers of everything under ``/accounts`` but the stream."""

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk, self._keys = desk, keys

    async def list(self, request: Request) -> Response:
        """Return the accounts that the request's key may see; all of them without keys."""
        key = self._keys.check(request)
        accounts = self._desk.venue.accounts()
        await self._desk.settled()
        return json([one for one in accounts if self._keys.opens(key, one.account)])

    async def find(self, request: Request) -> Response:
        """Return one account."""
        account = self._account(request)
        await self._desk.settled()
        return json(account)

    async def configure(self, request: Request) -> Response:
        """Open or configure an account."""
        name = str(request.path_params["account"])
        self._keys.admit(request, name)
        check_name(name)
        asked = await read_body(request, Configuration)
        answer = await self._desk.execute(
            ConfigureAccount(
                account=name,
                short_selling=asked.short_selling,
                leverage=asked.leverage,
                starting_cash=asked.starting_cash,
                self_trade_prevention=asked.self_trade_prevention,
            )
        )
        if answer.refusal is not None:
            raise _refused(answer.refusal, asked)
        return json(self._account(request))

    def _account(self, request: Request) -> AccountView:
        name = str(request.path_params["account"])
        self._keys.admit(request, name)
        account = self._desk.venue.account(name)
        if account is None:
            raise ProblemError(404, "unknown-account", f"There is no account {name[:64]!r}.")
        return account


def _refused(refusal: Refusal, asked: Configuration) -> ProblemError:
    """Return the problem that a refusal of terms is; it names every field that is beyond them."""
    if refusal.code not in TERM_CODES.values():
        return refused(refusal)
    return ill_made(refusal, unfit_terms(asked.leverage, asked.starting_cash))
