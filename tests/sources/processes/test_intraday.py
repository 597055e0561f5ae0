import numpy as np
import pytest

from market.errors import InvalidValueError
from sources.processes import IntradayProfile


def test_the_day_is_busy_at_its_ends_quiet_at_noon_and_one_on_average() -> None:
    profile = IntradayProfile(depth=0.5)

    day = np.array([profile.weight(share) for share in np.linspace(0, 1, 10_001)])

    assert day[0] == day[-1] == pytest.approx(2.0)
    assert day.min() == profile.weight(0.5) == pytest.approx(0.5)
    assert np.trapezoid(day, dx=1e-4) == pytest.approx(1.0, abs=1e-6)


def test_a_depth_that_would_make_a_negative_volume_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="depth"):
        IntradayProfile(depth=1.1)
