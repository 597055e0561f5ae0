"""What the OpenAPI document of a server promises, asked by schemathesis: drawn from it."""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

BASIC_CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


async def broken_promises(
    base: str,
    folder: Path,
    *,
    phases: str,
    examples: int,
    endless: str,
    more_checks: Iterable[str] = (),
) -> str:
    """Return what schemathesis says of promises that are not kept, "" when all are.

    ``endless`` is a pattern of the paths that never end, ``folder`` where it may leave its files.
    """
    options = {
        "--max-examples": str(examples),
        "--seed": "1",
        "--checks": ",".join((*BASIC_CHECKS, *more_checks)),
        "--phases": phases,
        "--exclude-path-regex": endless,
        "--generation-database": "none",
        "--suppress-health-check": "all",  # it takes a busy machine for bad strategies
        "--request-timeout": "60",
    }
    words = [word for option in options.items() for word in option]
    running = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *("run", f"{base}/openapi.json", *words, "--continue-on-failure", "--no-color"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
    return told.decode() if running.returncode else ""
