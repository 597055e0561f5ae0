from sources.processes import generator


def test_a_generator_follows_from_its_seed_and_purpose_alone() -> None:
    assert generator(42, "BTC", "prices").random() == generator(42, "BTC", "prices").random()
    assert generator(42, "BTC", "prices").random() == 0.025536123197754113


def test_every_seed_symbol_and_purpose_has_draws_of_its_own() -> None:
    purposes = [("BTC", "prices"), ("TCS", "prices"), ("BTC", "volumes"), ("BTC",), ()]

    first = {generator(seed, *purpose).random() for seed in (42, 43) for purpose in purposes}

    assert len(first) == 2 * len(purposes)
