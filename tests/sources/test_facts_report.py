from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sources.facts import Gate
from sources.facts_report import NoPlotError, draw, table


def test_the_table_says_what_was_measured_and_whether_it_passed() -> None:
    made = (
        Gate(name="g1", fact="memory", measured="2.0", required="< 3.5", passed=True),
        Gate(name="g3", fact="tail", measured="9.1", required="(2, 5)", passed=False),
    )

    lines = table(made).splitlines()

    assert [line.split()[0] for line in lines] == ["gate", "g1", "g3"]
    assert [line.split()[-1] for line in lines] == ["result", "pass", "FAIL"]
    assert (
        len(
            {line.index(word) for line, word in zip(lines, ("result", "pass", "FAIL"), strict=True)}
        )
        == 1
    )


def test_a_picture_is_drawn_or_it_is_said_why_not(tmp_path: Path) -> None:
    path = tmp_path / "facts.png"
    returns = np.random.default_rng(1).normal(size=500)

    if find_spec("matplotlib"):
        draw(returns, "noise", path)
        assert path.read_bytes().startswith(b"\x89PNG")
    else:
        with pytest.raises(NoPlotError, match="matplotlib"):
            draw(returns, "noise", path)
