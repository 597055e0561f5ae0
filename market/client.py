"""Clients of HTTP servers, as all our processes are."""

import ssl
from functools import cache
from typing import Any

import httpx


def http_client(**options: Any) -> httpx.AsyncClient:
    """Return a client, which whoever asked for it closes.

    It goes straight to its server, whatever proxy the environment names: most are on this machine.
    ``options`` are those of httpx.
    """
    return httpx.AsyncClient(trust_env=False, verify=_trusted(), **options)


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom to trust, read once: it takes longer than all else that a client is made of."""
    return httpx.create_ssl_context(trust_env=False)
