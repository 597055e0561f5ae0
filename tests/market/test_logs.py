import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from market.errors import SettingsError
from market.logs import configure, configure_from
from market.settings import Environment, environment


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Put the logging of the test run back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_line_is_time_level_logger_event_and_then_what_is_known(tmp_path: Path) -> None:
    configure("exchange", directory=tmp_path / "logs", console=False)

    structlog.get_logger("exchange.merging").info("source_lost", symbol="BTC", after_s=1 / 3)

    (line,) = lines(tmp_path / "logs" / "exchange.log")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT[\d:.]+Z info exchange\.merging source_lost symbol=BTC after_s=0\.333333",
        line,
    )


def test_what_would_break_a_line_is_quoted(tmp_path: Path) -> None:
    configure("x", directory=tmp_path, console=False)
    log = structlog.get_logger("x")

    log.info("told", a="two words", b="a=b", c="", d='say "hi"', g="ü")
    log.info("told", e="l1\nl2\rl3", f="\x1b[31m")

    line, other = lines(tmp_path / "x.log")
    assert (line + other).isprintable()
    assert line.endswith('told a="two words" b="a=b" c="" d="say \\"hi\\"" g=ü')
    assert other.endswith('told e="l1\\nl2\\rl3" f="\\u001b[31m"')


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    configure("x", directory=tmp_path, format="json", console=False)
    structlog.get_logger("x").info("told", a="l1\nl2", path=tmp_path)

    (line,) = lines(tmp_path / "x.log")
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["logger"]) == ("told", "info", "x")
    assert (entry["a"], entry["path"]) == ("l1\nl2", str(tmp_path))


@pytest.mark.parametrize("format", ["text", "json"])
def test_an_error_brings_its_cause(tmp_path: Path, format: str) -> None:
    configure("x", directory=tmp_path, format=format, console=False)
    structlog.get_logger("x").error("failed", n=1, exc_info=RuntimeError("the cause"))

    assert "RuntimeError: the cause" in (tmp_path / "x.log").read_text()


def test_what_libraries_log_looks_the_same_and_their_chatter_is_not_heard(tmp_path: Path) -> None:
    configure("x", directory=tmp_path, console=False)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("httpx").info("HTTP Request")
    logging.getLogger("uvicorn.access").info("GET /")

    (line,) = lines(tmp_path / "x.log")
    assert line.endswith("warning uvicorn.error Invalid HTTP request received.")


def test_less_important_lines_are_left_out(tmp_path: Path) -> None:
    configure("x", directory=tmp_path, level="warning", console=False)
    log = structlog.get_logger("x")
    log.info("one")
    log.warning("two")

    assert [line.split()[-1] for line in lines(tmp_path / "x.log")] == ["two"]


def test_files_are_put_aside_by_size_and_only_so_many_are_kept(tmp_path: Path) -> None:
    configure("x", directory=tmp_path, max_bytes=1000, backups=2, console=False)
    log = structlog.get_logger("x")
    for n in range(100):
        log.info("told", n=n)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())


def test_the_console_has_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure("x", directory=None)
    structlog.get_logger("x").info("told")

    assert capsys.readouterr().out.endswith("info x told\n")


def test_the_settings_say_where_and_how(tmp_path: Path) -> None:
    env = environment(process={"LOG_DIR": str(tmp_path), "LOG_FORMAT": "json"})
    configure_from(env, "risk", console=False)
    structlog.get_logger("x").info("told")

    assert json.loads(lines(tmp_path / "risk.log")[0])["event"] == "told"


def test_whoever_starts_a_process_may_name_it(tmp_path: Path) -> None:
    env = environment(process={"LOG_DIR": str(tmp_path), "PROCESS_NAME": "bot-hamster"})
    configure_from(env, "bot", console=False)

    assert (tmp_path / "bot-hamster.log").exists()


def test_a_wrong_setting_of_the_logs_is_named() -> None:
    env = Environment({"LOG_DIR": "logs", "LOG_LEVEL": "loud"})

    with pytest.raises(SettingsError, match="LOG_LEVEL"):
        configure_from(env, "x")
