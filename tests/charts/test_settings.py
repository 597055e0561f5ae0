import pytest

from charts.settings import Settings
from market.errors import SettingsError
from market.settings import environment


def test_the_keys_of_accounts_are_known_and_not_told() -> None:
    settings = Settings.from_env(environment(process={"CHARTS_API_KEYS": "ann:s3cret"}))
    assert settings.keys == {"ann": "s3cret"}
    assert "s3cret" not in repr(settings)
    with pytest.raises(SettingsError, match="CHARTS_API_KEYS") as refused:
        Settings.from_env(environment(process={"CHARTS_API_KEYS": "ann:s3cret,bob"}))
    assert "s3cret" not in str(refused.value)
