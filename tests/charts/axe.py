"""axe-core over a page: what it holds against it.

The script is the one in the wheel of axe-playwright-python (MPL 2.0), unless AXE_CORE names
another, such as ``node_modules/axe-core/axe.min.js`` of a newer release. It is put into the page as
the browser's tools do it, which no policy of the page forbids.
"""

import os
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from playwright.async_api import Page

GRAVE = frozenset({"serious", "critical"})


def script() -> str:
    """Return the text of axe-core."""
    if path := os.environ.get("AXE_CORE"):
        return Path(path).read_text()
    wheel = distribution("axe-playwright-python")
    return Path(str(wheel.locate_file("axe_playwright_python/axe.min.js"))).read_text()


async def findings(page: Page) -> list[str]:
    """Return what axe-core finds, a line an element: how bad, which rule, where, and why."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(script())
    found = await page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [_line(rule, node) for rule in found["violations"] for node in rule["nodes"]]


def _line(rule: dict[str, Any], node: dict[str, Any]) -> str:
    why = " ".join((node.get("failureSummary") or rule["help"]).split())
    return f"{rule['impact']} {rule['id']} {node['target']}: {why}"
