"""The live estimator against a brute force over all pairs of intervals."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.covariance import LiveCovariance, choose

INFINITE = float("inf")
Ticks = list[tuple[float, int, float]]


class Gapless(LiveCovariance):
    """Leaves no return out, however long it took."""

    def gap_limits_s(self, i: int) -> list[float]:
        return [INFINITE] * len(self.half_lives_s)


def fed(ticks: Ticks, size: int, *half_lives: float) -> LiveCovariance:
    live = LiveCovariance(size, half_lives or (INFINITE,))
    for time, i, level in ticks:
        live.update(i, time, level)
    return live


def brute(ticks: Ticks, a: int, b: int, half_life: float) -> tuple[float, float]:
    """Return decayed sum and overlap; ticks of one asset at one instant collapse to the last."""
    end = ticks[-1][0]
    paths = [list({t: p for t, i, p in ticks if i == which}.items()) for which in (a, b)]
    steps = [list(pairwise(path)) for path in paths]
    total = span = 0.0
    for k, ((s0, p0), (s1, p1)) in enumerate(steps[0]):
        for m, ((u0, q0), (u1, q1)) in enumerate(steps[1]):
            weight = 2 ** ((max(s1, u1) - end) / half_life)
            overlap = min(s1, u1) - max(s0, u0)
            if a == b and abs(k - m) == 1:
                total += weight * (p1 - p0) * (q1 - q0)
            elif overlap > 0 and (a != b or k == m):
                total += weight * (p1 - p0) * (q1 - q0)
                span += weight * overlap
    return total, span


def random_ticks(seed: int, size: int, count: int, *, ties: bool) -> Ticks:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, count // 3, count) if ties else rng.uniform(0, count, count))
    assets = rng.integers(0, size, count)
    return [
        (float(t), int(i), float(p))
        for t, i, p in zip(times, assets, rng.normal(0, 0.01, count), strict=True)
    ]


VECTOR: Ticks = sorted(
    [
        *zip([0, 1, 3, 4, 7, 9], [0] * 6, np.log([100, 101, 100.5, 102, 101, 101.5]), strict=True),
        *zip(
            [0, 2, 3.5, 6, 8, 9.5], [1] * 6, np.log([50, 50.4, 50.1, 50.9, 50.6, 50.7]), strict=True
        ),
    ]
)


def test_the_published_vector_without_decay() -> None:
    total, _ = fed(VECTOR, 2).moments(0)
    assert total[0, 1] == pytest.approx(9.834007795621718e-05, rel=1e-9)
    assert total[0, 0] < 0  # this path bounces so much that its corrected variance is negative


def test_the_published_vector_decayed() -> None:
    live = fed(VECTOR, 2, 5.0)
    total, span = live.moments(0)
    assert total[0, 1] == pytest.approx(4.7534113147627616e-05, rel=1e-9)
    assert span[0, 1] == pytest.approx(5.895498171906023, rel=1e-9)
    assert live.rates[0, 0, 1] == pytest.approx(8.06278142433208e-06, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([3.0, 40.0, INFINITE]))
def test_the_stream_equals_the_brute_force(seed: int, ties: bool, half_life: float) -> None:
    ticks = random_ticks(seed, 3, 40, ties=ties)
    live = Gapless(3, (half_life, 7.0))
    for time, i, level in ticks:
        live.update(i, time, level)
    total, span = live.moments(0)
    for a in range(3):
        for b in range(3):
            wanted = brute(ticks, a, b, half_life)
            assert total[a, b] == pytest.approx(wanted[0], rel=1e-9, abs=1e-15)
            if a != b:
                assert span[a, b] == pytest.approx(wanted[1], rel=1e-9, abs=1e-12)


def test_rates_do_not_depend_on_the_order_of_ticks_at_one_instant() -> None:
    ticks = random_ticks(5, 3, 60, ties=True)
    other = sorted(ticks, key=lambda tick: (tick[0], -tick[1]))
    np.testing.assert_allclose(fed(ticks, 3, 20.0).rates, fed(other, 3, 20.0).rates, atol=1e-18)


def test_several_ticks_of_one_asset_at_one_instant_are_the_last_of_them() -> None:
    ticks = random_ticks(6, 3, 60, ties=False)
    doubled = [t for time, i, p in ticks for t in ((time, i, p + 0.3), (time, i, p))]
    a, b = fed(ticks, 3, 20.0), fed(doubled, 3, 20.0)
    np.testing.assert_allclose(a.rates, b.rates, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(a.effective_sizes(), b.effective_sizes())


def test_weights_that_grow_out_of_range_are_brought_back() -> None:
    rng = np.random.default_rng(3)
    ticks = [(0.5 * k, k % 3, float(rng.normal(0, 0.01))) for k in range(4000)]
    long = fed(ticks, 3, 2.0, 900.0)  # 1000 half-lives
    recent = fed(ticks[-400:], 3, 2.0)
    np.testing.assert_allclose(long.rates[0], recent.rates[0], rtol=1e-9)
    assert np.isfinite(long.effective_sizes()).all()


def test_a_return_over_a_gap_is_left_out_and_decay_stands_still() -> None:
    rng = np.random.default_rng(4)
    calm = [(float(k), k % 2, float(rng.normal(0, 0.001))) for k in range(400)]
    before = fed(calm, 2, 60.0)
    rates, sizes = before.rates.copy(), before.effective_sizes()
    before.update(0, 1000.0, 5.0)
    before.update(1, 1000.0, 7.0)
    np.testing.assert_allclose(before.rates, rates, rtol=1e-12)
    np.testing.assert_array_equal(before.effective_sizes(), sizes)
    assert before.left_out[0] == 2
    before.update(0, 1002.0, 5.001)
    before.update(1, 1003.0, 7.001)
    assert np.abs(before.rates).max() < 2 * np.abs(rates).max()


def test_a_short_half_life_leaves_out_what_a_long_one_keeps() -> None:
    rng = np.random.default_rng(4)
    calm = [(float(k), k % 2, float(rng.normal(0, 0.001))) for k in range(400)]
    live = fed([*calm, (440.0, 0, 0.5), (440.0, 1, 0.5)], 2, 60.0, 900.0)
    assert live.left_out == [2, 0]
    assert live.rates[1, 0, 0] > 10 * live.rates[0, 0, 0]


def test_a_jump_over_a_gap_is_hidden_from_the_others_in_any_order() -> None:
    rng = np.random.default_rng(9)
    calm = [(float(k), k % 3, float(rng.normal(0, 0.001))) for k in range(300)]
    after = [
        (900.0, 0, 9.0),
        (900.0, 1, 9.0),
        (900.0, 2, 9.0),
        (903.0, 1, 9.001),
        (905.0, 0, 9.002),
    ]
    a = fed(calm + after, 3, 60.0)
    swapped = [after[2], after[0], after[1], after[3], after[4]]
    b = fed(calm + swapped, 3, 60.0)
    np.testing.assert_allclose(a.rates, b.rates, atol=1e-15)
    assert np.abs(a.rates).max() < 1e-4


def test_the_corrected_variance_of_a_bouncing_price_is_that_of_the_price() -> None:
    rng = np.random.default_rng(1)
    steps = 20_000
    true = np.cumsum(rng.normal(0, 1e-4, steps))
    seen = true + rng.choice([-1e-4, 1e-4], steps)
    live = LiveCovariance(1, (INFINITE,))
    for k, level in enumerate(seen.tolist()):
        live.update(0, float(k), level)
    assert live.rates[0, 0, 0] == pytest.approx(1e-8, rel=0.25)
    assert np.mean(np.diff(seen) ** 2) > 2.5e-8


def test_time_that_goes_back_is_refused() -> None:
    live = fed([(5.0, 0, 1.0)], 1)
    with pytest.raises(ValueError, match="went back"):
        live.update(0, 4.0, 1.0)


def test_the_change_of_a_row_is_told() -> None:
    ticks = random_ticks(8, 3, 50, ties=False)
    live = LiveCovariance(3, (20.0,))
    for time, i, level in ticks:
        old = live.rates.copy()
        change = live.update(i, time, level)
        if change is not None:
            np.testing.assert_allclose(live.rates[0, i] - old[0, i], change, atol=1e-15)


def test_a_forgotten_asset_starts_anew_and_the_others_stay() -> None:
    ticks = random_ticks(8, 3, 60, ties=False)
    live = fed(ticks, 3, 20.0)
    kept = live.rates[0, 1, 2]
    live.forget(0)
    assert live.rates[0, 0].tolist() == [0, 0, 0]
    assert live.rates[0, 1, 2] == kept
    live.update(0, 100.0, 7.0)
    live.update(0, 101.0, 7.1)
    assert live.rates[0, 0, 0] == pytest.approx(0.01)


def test_a_live_estimate_that_is_no_covariance_gives_way_to_the_reference() -> None:
    reference = np.eye(2)
    x = np.array([1.0, 1.0])
    assert choose(np.eye(2), reference, x).label == "live"
    for broken, reason in (
        (np.array([[-1.0, 0], [0, 1]]), "variance is not positive"),
        (np.array([[1.0, 2], [2, 1]]), "beyond one"),
        (np.array([[1.0, -1], [-1, 1]]), "portfolio variance"),
    ):
        found = choose(broken, reference, x)
        assert found.label == "reference"
        assert reason in found.reason


def test_without_a_reference_the_live_estimate_is_repaired() -> None:
    found = choose(np.array([[1.0, 2], [2, 1]]), None, np.array([1.0, 1.0]))
    assert found.label == "live, repaired"
    assert np.linalg.eigvalsh(found.rates).min() >= -1e-12


def test_what_is_not_held_does_not_spoil_the_estimate() -> None:
    broken = np.array([[-1.0, 0], [0, 1]])
    assert choose(broken, np.eye(2), np.array([0.0, 3.0])).label == "live"


def test_estimators_that_disagree_raise_an_alarm() -> None:
    found = choose(4 * np.eye(2), np.eye(2), np.array([1.0, 0.0]))
    assert "2" in found.alarm
