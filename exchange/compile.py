"""Compile the exchange's core to machine code, which is optional: the same modules run as they are.

    python -m exchange.compile [FOLDER]    # compile the checkout in FOLDER (default: this one)
    python -m exchange.compile --clean     # back to plain Python

mypyc (part of mypy) and a C compiler are needed. The extension modules stand beside the modules
they are made from, and Python prefers them: compile again after a change, or clean up.
`simulation.compile` compiles what else a simulation runs through, too.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("bots", "exchange", "market", "risk", "simulation", "sources")
MODULES: Final = tuple(
    f"exchange/{module}.py"
    for module in (
        "accounts",
        "admission",
        "auction",
        "blotter",
        "book_view",
        "circuit_breaker",
        "execution",
        "floor",
        "funds",
        "gate",
        "grid",
        "house_maker",
        "ladder",
        "matching",
        "order_book",
        "pit",
        "positions",
        "price_level",
        "reporter",
        "rules",
        "session",
        "settlement",
        "stop_chain",
        "stops",
        "teller",
        "venue",
        "venue_view",
    )
)


def compile_in(folder: Path, modules: Sequence[str] = MODULES) -> None:
    """Compile modules of the checkout in ``folder``; raise CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        for package in PACKAGES:
            shutil.copytree(folder / package, Path(scratch) / package)
        clean(Path(scratch))
        command = [sys.executable, "-m", "mypyc", *modules]
        subprocess.run(command, cwd=scratch, check=True, capture_output=True)  # noqa: S603 - ours
        clean(folder)
        for built in extensions(Path(scratch)):
            shutil.copy2(built, folder / built.relative_to(scratch))


def clean(folder: Path) -> None:
    """Take the compiled modules away, whoever compiled them."""
    for built in extensions(folder):
        built.unlink()


def extensions(folder: Path) -> list[Path]:
    """Return the compiled modules in a checkout, and what they share."""
    places = [folder, *(folder / package for package in PACKAGES)]
    found = [
        path for place in places for suffix in (".so", ".pyd") for path in place.glob(f"*{suffix}")
    ]
    return [path for path in found if "__mypyc." in path.name or _source(path).is_file()]


def _source(built: Path) -> Path:
    return built.with_name(built.name.partition(".")[0] + ".py")


def command(what: str, modules: Sequence[str]) -> None:
    """Compile, or clean up, as the command line says; end with the compiler's complaint, if any."""
    parser = argparse.ArgumentParser(description=f"Compile {what} with mypyc.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--clean", action="store_true", help="take the compiled modules away")
    options = parser.parse_args()
    if options.clean:
        clean(options.folder)
        return
    try:
        compile_in(options.folder, modules)
    except subprocess.CalledProcessError as error:
        sys.exit(f"mypyc failed:\n{error.stdout.decode()}\n{error.stderr.decode()}")


def main() -> None:
    """Compile the core."""
    command("the exchange's core", MODULES)


if __name__ == "__main__":
    main()
