import re
from pathlib import Path

from simulation import figures
from simulation.__main__ import main
from simulation.report import page
from tests.simulation.runs import SECOND, a_config, ran


def test_a_report_needs_nothing_from_outside(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    days = str(60 * SECOND)

    assert main(["run", "--days", days, "--seed", "3", "--report", str(folder), "--quiet"]) == 0
    page = (folder / "report.html").read_text()
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", page)
    assert "investor" in page
    assert "sha256" in page
    assert page.count("Plotly.newPlot") == 5  # equity, three instruments, risk
    assert "over 1 seeds" not in page
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")


def test_an_agent_has_one_color_in_every_picture() -> None:
    market, result = ran(a_config(300))
    of = figures.colors(["investor", "hamster"])
    lines = [
        *figures.equity(market.recorder).data,
        *figures.fills(market.recorder, "TCS").data,
        *figures.distribution([result, result]).data,
    ]
    for agent, color in of.items():
        found = [line for line in lines if line.name.startswith(agent)]
        assert len(found) >= 4
        assert {line.marker.color or line.line.color for line in found} == {color}


def test_over_several_seeds_there_is_their_distribution() -> None:
    market, result = ran(a_config(10))

    assert "over 2 seeds" in page(market, result, [result, result])
