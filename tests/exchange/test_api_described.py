from pathlib import Path

from structlog.testing import capture_logs

from tests.described import broken_promises
from tests.exchange.markets import a_market
from tests.streams import eventually

MORE_CHECKS = (
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
)


async def test_answers_are_as_the_document_says_whatever_is_asked(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, stale_after_s=3600.0) as market:
            await market.order(quantity=10, price=33)
            await market.order(quantity=100)
            broken = await broken_promises(
                market.base,
                tmp_path,
                phases="examples,coverage,fuzzing",
                examples=5,
                endless="stream|api/prices",
                more_checks=MORE_CHECKS,
            )
            await eventually(lambda: market.exchange.is_up)  # a source may just be read anew
            health = await market.get("/health")
    assert not broken, broken
    assert health.status_code == 200
    assert not [log for log in logs if log["log_level"] in ("error", "critical")]
