"""structlog set up once a process: one line a fact, to the console and to a file that rotates."""

import json
import logging
import sys
from collections.abc import MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import Processor

from market.settings import Environment, one_of, whole


def configure(
    name: str,
    *,
    directory: Path | None,
    level: str = "info",
    format: str = "text",
    max_bytes: int = 10_000_000,
    backups: int = 3,
    console: bool = True,
) -> None:
    """Send everything that is logged, uvicorn's words too, where it belongs.

    Args:
        name: of the process; the file is ``<directory>/<name>.log``, rotated by size.
        directory: made if it is missing; None for no file.
        level: what is logged, ``debug`` to ``error``.
        format: ``text`` for ``<time> <level> <logger> <event> key=value ...``, or ``json``.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    render: Processor = _as_json if format == "json" else _as_text
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)] if console else []
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{name}.log"
        handlers.append(RotatingFileHandler(path, maxBytes=max_bytes, backupCount=backups))
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    for chatty in ("httpx", "httpcore", "uvicorn", "sse_starlette", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def configure_from(env: Environment, name: str, *, console: bool = True) -> None:
    """Set the logs up as the settings say; raise SettingsError when they are wrong.

    ``PROCESS_NAME``, set by whoever started this process, goes before ``name``.
    """
    configure(
        env.read("PROCESS_NAME", str, default=name),
        directory=env.read("LOG_DIR", Path),
        level=env.read("LOG_LEVEL", one_of("debug", "info", "warning", "error")),
        format=env.read("LOG_FORMAT", one_of("text", "json")),
        max_bytes=env.read("LOG_MAX_BYTES", whole(10_000, 2**40)),
        backups=env.read("LOG_BACKUPS", whole(0, 1000)),
        console=console,
    )


def _as_text(_: Any, __: str, entry: MutableMapping[str, Any]) -> str:
    lead = (entry.pop(key, "-") for key in ("time", "level", "logger", "event"))
    trace = entry.pop("exception", None)
    words = [*map(str, lead), *(f"{key}={_plain(value)}" for key, value in entry.items())]
    line = " ".join(words).replace("\n", "\\n").replace("\r", "\\r")
    return f"{line}\n{trace}" if trace else line


def _as_json(_: Any, __: str, entry: MutableMapping[str, Any]) -> str:
    return json.dumps(entry, default=str)


def _plain(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    plain = text and text.isprintable() and not set(text) & set(' "=')
    return text if plain else json.dumps(text)
