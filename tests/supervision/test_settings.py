import os
from pathlib import Path

import pytest
from starlette.config import Config

from market.errors import SettingsError
from market.settings import ROOT, Environment
from supervision.settings import Settings


def _settings(root: Path, **changes: str) -> Settings:
    env = Environment(Config(ROOT / ".env_template").file_values | changes)
    return Settings.from_env(env, root=root)


def test_the_folders_are_those_of_the_checkout(tmp_path: Path) -> None:
    settings = _settings(tmp_path, DATA_DIR="d", LOG_DIR="l")
    assert settings.run_dir == tmp_path / "d" / "run"
    assert settings.log_dir == tmp_path / "l"


def test_the_socket_is_in_the_run_folder_where_its_path_is_short() -> None:
    settings = _settings(Path("/srv/sandpit"), DATA_DIR="data")
    assert settings.socket == Path("/srv/sandpit/data/run/control.sock")


def test_the_socket_of_a_long_path_is_short_and_of_this_checkout_alone() -> None:
    one = _settings(Path("/srv") / ("long" * 40) / "one").socket
    other = _settings(Path("/srv") / ("long" * 40) / "other").socket
    assert one != other
    assert len(os.fsencode(one)) < 100


def test_a_patience_that_would_miss_the_promise_is_refused() -> None:
    with pytest.raises(SettingsError, match="STOP_GRACE_S"):
        _settings(Path("/srv"), STOP_GRACE_S="30")


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="DATA_DIR"):
        Settings.from_env(Environment({}))
