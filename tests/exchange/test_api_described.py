"""What the OpenAPI document promises, tested by schemathesis: drawn from it, and against it."""

import asyncio
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.exchange.markets import a_market
from tests.streams import eventually

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
)


@pytest.mark.timeout(240)
async def test_answers_are_as_the_document_says_whatever_is_asked(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, stale_after_s=3600.0) as market:
            await market.order(quantity=10, price=33)
            await market.order(quantity=100)
            code, told = await _schemathesis(f"{market.base}/openapi.json", tmp_path)
            await eventually(lambda: market.exchange.is_up)  # a source may just be read anew
            health = await market.get("/health")
    assert code == 0, told
    assert health.status_code == 200
    assert not [log for log in logs if log["log_level"] in ("error", "critical")]


async def _schemathesis(url: str, folder: Path) -> tuple[int | None, str]:
    """Run it on everything but the endless streams; return its status and its words."""
    options = {
        "--max-examples": "5",
        "--seed": "1",
        "--checks": ",".join(CHECKS),
        "--phases": "examples,coverage,fuzzing",
        "--exclude-path-regex": "stream|api/prices",
        "--generation-database": "none",
        "--suppress-health-check": "all",  # it takes a busy machine for bad strategies
        "--request-timeout": "60",
    }
    words = [word for option in options.items() for word in option]
    running = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *("run", url, *words, "--continue-on-failure", "--no-color"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
    return running.returncode, told.decode()
