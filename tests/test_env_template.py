import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.config import Config

from bots.settings import Settings as BotSettings
from charts.settings import Settings as ChartsSettings
from exchange.settings import Settings as ExchangeSettings
from market.settings import ROOT, Environment, instrument, symbols
from risk.settings import Settings as RiskSettings
from sources.settings import Settings as SourceSettings
from supervision.programs import programs
from supervision.settings import Settings as SupervisionSettings

TEMPLATE = (ROOT / ".env_template").read_text().splitlines()
SETTING = re.compile(r"(?:# )?([A-Z][A-Z0-9_]*)=(\S*)")
BY_OTHERS = {"PROCESS_NAME"}  # set by whoever starts a process, not by a person


def test_each_line_is_a_comment_or_a_setting() -> None:
    odd = [line for line in TEMPLATE if line and line[0] != "#" and not SETTING.fullmatch(line)]
    assert odd == []


def test_each_setting_is_there_once() -> None:
    counts = Counter(_names())
    assert [name for name, count in counts.items() if count > 1] == []


def test_each_block_of_settings_begins_with_a_comment() -> None:
    before = ["", *TEMPLATE]
    bare = [
        line
        for above, line in zip(before, TEMPLATE, strict=False)
        if SETTING.fullmatch(line) and not above.startswith("#") and not SETTING.fullmatch(above)
    ]
    assert bare == []


def test_the_processes_start_from_the_template_alone() -> None:
    env = Environment(Config(ROOT / ".env_template").file_values)
    SupervisionSettings.from_env(env)
    ExchangeSettings.from_env(env)
    RiskSettings.from_env(env)
    ChartsSettings.from_env(env)
    for bot in ("investor", "hamster"):
        BotSettings.from_env(env, bot)
    for symbol in symbols(env):
        assert SourceSettings.from_env(env, symbol).source.instrument == instrument(env, symbol)
    assert [program.name for program in programs(env)] == [
        "source-btc",
        "source-tcs",
        "source-meta",
        "exchange",
        "bot-investor",
        "bot-hamster",
        "risk",
        "charts",
    ]


@pytest.mark.parametrize(
    "package", ["bots", "charts", "exchange", "market", "risk", "sources", "supervision"]
)
def test_what_the_code_reads_is_in_the_template(package: str) -> None:
    known = set(_names())
    unknown = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in _read_in(path)
        if not any(re.fullmatch(name, each) for each in known | BY_OTHERS)
    ]
    assert unknown == []


def _names() -> list[str]:
    return [found[1] for line in TEMPLATE if (found := SETTING.fullmatch(line))]


def _read_in(path: Path) -> Iterator[str]:
    """Yield a pattern for the name of each variable that is read from an Environment."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="read" | "optional" | "secrets"), args=[name, *_]
            ):
                yield from _pattern(name)


def _pattern(argument: ast.expr) -> Iterator[str]:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield re.escape(argument.value)
    elif isinstance(argument, ast.JoinedStr):
        yield "".join(
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[A-Z0-9_]+"
            for part in argument.values
        )
