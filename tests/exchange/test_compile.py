from pathlib import Path

from exchange.compile import MODULES, ROOT, clean, extensions


def test_what_is_compiled_can_be_taken_away_and_nothing_else(tmp_path: Path) -> None:
    for package in ("exchange", "simulation"):
        (tmp_path / package).mkdir()
    sources = [tmp_path / "exchange" / "pit.py", tmp_path / "simulation" / "line.py"]
    built = [
        tmp_path / "0123__mypyc.cpython-311-x86_64-linux-gnu.so",
        tmp_path / "exchange" / "pit.cpython-311-x86_64-linux-gnu.so",
        tmp_path / "simulation" / "line.cpython-311-x86_64-linux-gnu.so",
    ]
    others = [*sources, tmp_path / "exchange" / "other.cpython-311.so"]
    for path in (*built, *others):
        path.touch()
    assert sorted(extensions(tmp_path)) == sorted(built)
    clean(tmp_path)
    assert not any(path.exists() for path in built)
    assert all(path.exists() for path in others)


def test_every_module_that_is_compiled_exists() -> None:
    assert all((ROOT / module).is_file() for module in MODULES)
