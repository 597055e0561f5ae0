"""Vectors of riskfolio-lib 7.4.0, skfolio 1.12.2, quantstats 0.0.86, empyrical 0.7.1."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import measures
from risk.backtests import kupiec
from risk.covariance import (
    EwmaCovariance,
    decay_of,
    decayed_rate,
    effective_size,
    epps_attenuation,
    ewma_covariance,
    hayashi_yoshida,
    mean_and_variance,
    relative_error,
    sample_covariance,
)
from risk.distributions import (
    chi_squared_survival,
    expected_shortfall_factor,
    normal_quantile,
)
from risk.errors import UnavailableError
from risk.tails import Method, skew_and_kurtosis

A = np.array(
    [
        [0.0121, -0.0043, 0.0210],
        [-0.0087, 0.0065, -0.0140],
        [0.0034, -0.0012, 0.0075],
        [-0.0156, 0.0020, -0.0302],
        [0.0098, 0.0011, 0.0184],
        [0.0007, -0.0031, 0.0026],
        [-0.0211, 0.0089, -0.0415],
        [0.0143, -0.0052, 0.0267],
        [0.0019, 0.0004, -0.0038],
        [-0.0062, 0.0037, -0.0091],
        [0.0175, -0.0068, 0.0359],
        [-0.0049, 0.0016, -0.0123],
    ]
)
W = np.array([0.5, 0.3, 0.2])
X = np.array([0.8, -0.3, 0.5])
P = A @ W
Z = np.random.RandomState(7).randn(500, 10)
B = 0.01 * (Z + 0.5 * Z[:, :1])
WB = np.arange(1, 11) / 55
PB = B @ WB


def close(value: object, wanted: object) -> bool:
    return bool(np.allclose(np.asarray(value), np.asarray(wanted), rtol=1e-9, atol=0))


def upper(matrix: np.ndarray) -> np.ndarray:
    return matrix[np.triu_indices(3)][[0, 1, 2, 3, 4, 5]]


V2 = ewma_covariance(A, 0.94)


def test_ewma_from_zero_over_its_weight_is_that_of_skfolio_and_pandas() -> None:
    wanted = [
        1.336888678806008e-4,
        -4.669660661712302e-5,
        2.5755502462747646e-4,
        2.0641281378305504e-5,
        -9.030407506228474e-5,
        5.048542174465189e-4,
    ]
    assert close(upper(V2), wanted)


def test_a_decay_of_094_has_the_half_life_and_size_that_riskmetrics_gives() -> None:
    assert decay_of(11.202305583621158, 1) == pytest.approx(0.94, rel=1e-12)
    estimator = EwmaCovariance(1, 0.94)
    for _ in range(2000):
        estimator.push(np.array([0.01]))
    assert estimator.effective_size == pytest.approx(1.94 / 0.06, rel=1e-9)
    assert relative_error(estimator.effective_size) == pytest.approx(0.125, abs=2e-3)


def test_the_effective_size_of_weights_is_that_of_the_recursion() -> None:
    estimator = EwmaCovariance(1, 0.94)
    for _ in range(12):
        estimator.push(np.array([0.01]))
    weights = [0.94**k for k in range(12)]
    assert estimator.effective_size == pytest.approx(effective_size(weights), rel=1e-12)
    assert relative_error(effective_size(weights)) == pytest.approx(0.21, abs=5e-3)


def test_contributions_add_up_to_the_volatility_long_only() -> None:
    assert close(measures.volatility(V2, W), 0.009063091907563482)
    wanted = [0.005756669906082374, -0.0011657191916415574, 0.004472141193122666]
    assert close(measures.contributions(V2, W), wanted)


def test_contributions_add_up_to_the_volatility_long_and_short() -> None:
    assert close(measures.volatility(V2, X), 0.021660603835677052)
    wanted = [0.009223661186841503, 0.0012285212533027225, 0.011208421395532825]
    assert close(measures.contributions(V2, X), wanted)


def test_sample_covariance_gives_the_published_contributions() -> None:
    sample = sample_covariance(A)
    assert close(measures.volatility(sample, W), 0.009428161233370176)
    wanted = [0.005992893873832553, -0.0011844283887145707, 0.004619695748252195]
    assert close(measures.contributions(sample, W), wanted)


def test_gaussian_quantiles_and_shortfall_factors() -> None:
    levels = (0.95, 0.975, 0.99)
    z = [1.6448536269514722, 1.959963984540054, 2.3263478740408408]
    factors = [2.0627128075074257, 2.3378027922014133, 2.665214220345806]
    assert close([normal_quantile(level) for level in levels], z)
    assert close([expected_shortfall_factor(level) for level in levels], factors)


@pytest.mark.parametrize(
    ("level", "var", "es"),
    [
        (0.95, 0.015264611866858867, 0.019204255593984337),
        (0.99, 0.021689849508031645, 0.02488473605755791),
    ],
)
def test_gaussian_tail_is_that_of_quantstats(level: float, var: float, es: float) -> None:
    assert close(measures.value_at_risk(P, level, method="gaussian"), var)
    assert close(measures.expected_shortfall(P, level, method="gaussian"), es)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("upper", 0.01528274129767314),
        ("lower", 0.013695531878715233),
        ("linear", 0.013711403972904811),
    ],
)
def test_the_historical_value_at_risk_depends_on_the_named_rule(rule: str, wanted: float) -> None:
    assert close(measures.historical_value_at_risk(PB, 0.99, rule), wanted)  # type: ignore[arg-type]


def test_the_historical_shortfall_is_that_of_riskfolio_and_skfolio() -> None:
    assert close(measures.expected_shortfall(PB, 0.99), 0.015928654496472242)
    assert close(measures.value_at_risk(PB, 0.95), 0.010487549081243637)
    assert close(measures.expected_shortfall(PB, 0.95), 0.01264340911118923)


def test_a_fractional_tail_weighs_its_last_row_by_the_fraction() -> None:
    assert close(measures.expected_shortfall(P, 0.8), 0.013124999999999998)
    _, parts = measures.historical_contributions(A, W, 0.8)
    assert close(parts, [0.008370833333333333, -0.0016875, 0.006441666666666667])


@pytest.mark.parametrize(
    ("level", "quantile", "var"),
    [
        (0.95, -1.730335250318165, 0.015376017350723279),
        (0.99, -2.2686859899968512, 0.020235589501563137),
    ],
)
def test_cornish_fisher_out_of_its_domain_says_so(
    level: float, quantile: float, var: float
) -> None:
    tail = measures.cornish_fisher_tail(P, level)
    assert close([tail.quantile, tail.value_at_risk], [quantile, var])
    assert not tail.valid


def test_cornish_fisher_of_a_normal_sample_is_gaussian_and_valid() -> None:
    normal = [normal_quantile((k + 0.5) / 20_000) for k in range(20_000)]
    near, tail = measures.gaussian_tail(normal, 0.99), measures.cornish_fisher_tail(normal, 0.99)
    assert tail.value_at_risk == pytest.approx(near.value_at_risk, rel=1e-3)
    assert tail.expected_shortfall == pytest.approx(near.expected_shortfall, rel=1e-3)


def test_skewness_and_kurtosis_of_the_vector() -> None:
    assert close(skew_and_kurtosis(P), [-0.24000618199823917, -0.9087903696114044])


def test_data_b_volatility_and_ewma_contributions() -> None:
    assert close(measures.volatility(sample_covariance(B), WB), 0.006338986919810286)
    parts = measures.contributions(ewma_covariance(B, 0.94), WB)
    assert close(parts.sum(), 0.007066319905008692)
    assert close([parts[0], parts[9]], [0.00024538812944650904, 0.0014955227352046665])


def test_drawdowns_of_data_b_are_those_of_riskfolio() -> None:
    equity = measures.equity_of(PB)
    assert close(measures.max_drawdown(equity), 0.15243895620672807)
    assert close(measures.conditional_drawdown(equity), 0.14105502006717974)
    assert close(measures.ulcer_index(equity), 0.07538624513555443)


def test_drawdown_is_from_the_peak_of_the_equity() -> None:
    equity = [100, 110, 105, 120, 90, 95, 130, 104]
    assert measures.max_drawdown(equity) == pytest.approx(0.25, rel=1e-12)
    assert measures.drawdown(equity) == pytest.approx(0.20, rel=1e-12)


def test_a_first_loss_is_a_drawdown_from_the_start() -> None:
    assert measures.max_drawdown(measures.equity_of([-0.1, 0.05])) == pytest.approx(0.1)


def test_compounded_and_additive_drawdown_differ() -> None:
    assert close(measures.max_drawdown(measures.equity_of(P)), 0.02294057962248349)
    additive = measures.equity_of(P, compounded=False)
    assert close(measures.max_drawdown(additive, relative=False), 0.02293)


def test_ratios_of_data_b_are_those_of_empyrical() -> None:
    assert close(measures.sharpe_ratio(PB, 252), -0.33587419670662394)
    assert close(measures.sortino_ratio(PB, 252), -0.46634843797812153)
    assert close(measures.calmar_ratio(PB, 252), -0.25000292185223166)
    assert close(measures.sample_beta(PB, B[:, 0]), 0.3555476831029033)
    assert close(measures.sample_tracking_error(PB, B[:, 0], 252), 0.16061888041827627)


def test_against_a_benchmark_ex_ante() -> None:
    benchmark = np.array([0.6, 0.0, 0.4])
    assert close(measures.beta(V2, W, benchmark), 0.5689229538907249)
    assert close(measures.tracking_error(V2, W, benchmark), 0.0068796263772326225)
    assert close(measures.correlation(V2, W, benchmark), 0.9975495782625764)


def test_incremental_value_at_risk_is_a_re_evaluation() -> None:
    grown = measures.incremental_value_at_risk(V2, W, [0.05, 0, 0], 0.95)
    assert close(grown, 0.0009471293784207906)


def test_the_diversification_ratio_of_one_asset_is_one() -> None:
    assert measures.diversification_ratio(V2, [1, 0, 0]) == pytest.approx(1, rel=1e-12)
    assert measures.diversification_ratio(V2, W) > 1


def test_variance_in_one_pass_does_not_cancel() -> None:
    assert mean_and_variance([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])[1] == 30


def test_the_decayed_rate_counts_time_not_ticks() -> None:
    times = [0, 0.5, 0.9, 4, 4.1, 10, 31, 31.2, 60]
    prices = [100, 100.1, 100.05, 100.4, 100.35, 100, 100.9, 100.8, 101.3]
    rate = decayed_rate(times, np.log(prices), 30)
    assert close(rate, 1.728098531259483e-06)
    assert close(sqrt(rate * 31_536_000) * 100, 7.382229695816776 * 100)
    assert close(sqrt(rate * 252 * 23_400), 3.1922173201602235)


def test_hayashi_yoshida_of_the_vector() -> None:
    x, y = np.log([100, 101, 100.5, 102, 101, 101.5]), np.log([50, 50.4, 50.1, 50.9, 50.6, 50.7])
    found = hayashi_yoshida([0, 1, 3, 4, 7, 9], x, [0, 2, 3.5, 6, 8, 9.5], y)
    assert close(found, 9.834007795621718e-05)


def test_sampling_loses_the_covariance_that_epps_saw() -> None:
    assert close(epps_attenuation(1, 1, 5), 0.8013475893998171)
    assert close(epps_attenuation(1, 0.2, 20), 0.7871490914523293)


def test_the_original_weighted_risk() -> None:
    assert close(measures.weighted_risk([0.5, 0.3, 0.2], [100, 50, 20], [1000, 500, 100]), 0.12)


def test_zero_volume_is_unavailable_and_never_infinite() -> None:
    with pytest.raises(UnavailableError, match="zero volume"):
        measures.weighted_risk([0.5, 0.3, 0.2], [100, 50, 20], [1000, 500, 0])


def test_amihud_skips_what_did_not_trade() -> None:
    assert measures.amihud_illiquidity([0.01, -0.02, 0.5], [100, 50, 7], [10, 4, 0]) == (
        pytest.approx((0.01 / 1000 + 0.02 / 200) / 2)
    )


def test_a_named_shock_hits_what_it_names_and_the_rest() -> None:
    assert measures.stress_loss({"BTC": 500, "TCS": -200}, {"BTC": -0.2, "*": -0.1}) == 80


def test_worst_windows_do_not_overlap() -> None:
    rows = np.array([[-1.0], [-2.0], [-3.0], [4.0], [-2.5], [-2.6]])
    found = [round(float(w[0]), 9) for w in measures.worst_windows(rows, [1.0], 2, 2)]
    assert found == [-5.1, -5.0]


def test_filtered_returns_are_scaled_to_the_volatility_of_today() -> None:
    calm_then_wild = np.concatenate((PB[:250], 5 * PB[250:]))
    now = measures.value_at_risk(measures.filtered_returns(calm_then_wild), 0.99)
    plain = measures.value_at_risk(calm_then_wild[:250], 0.99)
    assert now > 3 * plain


def test_chi_squared_survival_in_closed_form() -> None:
    assert chi_squared_survival(3.841458820694124, 1) == pytest.approx(0.05, rel=1e-12)
    assert chi_squared_survival(5.991464547107979, 2) == pytest.approx(0.05, rel=1e-12)
    assert chi_squared_survival(0, 1) == 1


def test_an_empty_sample_is_unavailable() -> None:
    methods: tuple[Method, ...] = ("gaussian", "cornish_fisher", "historical")
    for method in methods:
        with pytest.raises(UnavailableError):
            measures.value_at_risk([], 0.95, method=method)


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        measures.value_at_risk([0.01, float("nan")], 0.95)


weights = st.lists(st.floats(-5, 5), min_size=3, max_size=3)
series = st.lists(st.floats(-0.5, 0.5), min_size=5, max_size=60)


@settings(max_examples=40, deadline=None)
@given(weights)
def test_all_contributions_add_up(given_weights: list[float]) -> None:
    w = np.array(given_weights)
    total = measures.volatility(V2, w)
    scale = max(1.0, np.abs(w).max())
    assert abs(measures.contributions(V2, w).sum() - total) <= 1e-12 * scale
    var = measures.value_at_risk_contributions(V2, w, 0.99)
    es = measures.expected_shortfall_contributions(V2, w, 0.99)
    assert abs(var.sum() - measures.gaussian_value_at_risk(total, 0.99)) <= 1e-12 * scale
    assert abs(es.sum() - measures.gaussian_expected_shortfall(total, 0.99)) <= 1e-12 * scale
    var_parts, es_parts = measures.historical_contributions(A, w, 0.9)
    assert abs(var_parts.sum() - measures.historical_value_at_risk(A @ w, 0.9)) <= 1e-12 * scale
    assert abs(es_parts.sum() - measures.historical_expected_shortfall(A @ w, 0.9)) <= 1e-12 * scale


@settings(max_examples=40, deadline=None)
@given(series, st.sampled_from([0.8, 0.9, 0.95, 0.975, 0.99]))
def test_the_shortfall_is_never_below_the_value_at_risk(r: list[float], level: float) -> None:
    es = measures.expected_shortfall(r, level)
    assert es >= measures.value_at_risk(r, level) - 1e-12
    assert measures.expected_shortfall(r, level, method="gaussian") >= (
        measures.value_at_risk(r, level, method="gaussian") - 1e-12
    )


@pytest.mark.no_cover
def test_filtered_forecasts_of_garch_prices_keep_their_promise() -> None:
    rng = np.random.default_rng(12)
    variance, returns = 1e-4, []
    for _ in range(2500):
        r = float(np.sqrt(variance) * rng.standard_normal())
        returns.append(r)
        variance = 2e-6 + 0.08 * r * r + 0.90 * variance
    exceptions = sum(
        -returns[t] > measures.value_at_risk(measures.filtered_returns(returns[t - 500 : t]), 0.99)
        for t in range(500, 2500)
    )
    assert kupiec(2000, exceptions, 0.01).p_value > 0.05
