import re
from pathlib import Path

from simulation.__main__ import main
from tests.simulation.runs import SECOND


def test_a_report_needs_nothing_from_outside(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    days = str(60 * SECOND)

    assert main(["run", "--days", days, "--seed", "3", "--report", str(folder), "--quiet"]) == 0
    page = (folder / "report.html").read_text()
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", page)
    assert "investor" in page
    assert "sha256" in page
    assert page.count("Plotly.newPlot") >= 6
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
