import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervision.__main__ import main
from supervision.locks import Lock

NAMES = ["source-btc", "source-tcs", "source-meta", "exchange", "bot-investor", "risk", "charts"]


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, value in {
        "DATA_DIR": str(tmp_path / "data"),
        "LOG_DIR": str(tmp_path / "logs"),
        "SYMBOLS": "BTC,TCS,META",
        "BOTS": "investor",
    }.items():
        monkeypatch.setenv(name, value)
    before = socket.getdefaulttimeout()
    yield tmp_path
    socket.setdefaulttimeout(before)


def test_status_is_a_line_a_process_and_nonzero_unless_all_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["status"]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [f"{name} stopped -" for name in NAMES]
    assert shown.err == ""


def test_status_of_a_supervisor_that_does_not_answer_yet_is_starting(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lock(checkout / "data" / "run" / "supervisor.lock"):
        assert main(["status"]) == 1
    assert capsys.readouterr().out.splitlines() == [f"{name} starting -" for name in NAMES]


def test_stop_where_nothing_runs_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop"]) == 0
    assert capsys.readouterr().out == "Nothing was running.\n"


def test_start_beside_another_is_refused_in_words(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lock(checkout / "data" / "run" / "supervisor.lock"):
        assert main(["start"]) == 1
    assert "`make stop` ends it" in capsys.readouterr().err


def test_start_with_a_taken_port_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("TCS_PORT", str(listener.getsockname()[1]))
        assert main(["start"]) == 1
    told = capsys.readouterr().err
    assert "source-tcs needs it: set TCS_PORT" in told
    assert told.endswith("Nothing was started.\n")


def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RISK_PORT", "many")
    assert main(["status"]) == 1
    assert "RISK_PORT" in capsys.readouterr().err
