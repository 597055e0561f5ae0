"""Compile the exchange's core to machine code, which is optional: the same modules run as they are.

    python -m exchange.compile [FOLDER]    # compile the checkout in FOLDER (default: this one)
    python -m exchange.compile --clean     # back to plain Python

mypyc (part of mypy) and a C compiler are needed. The extension modules stand beside the modules
they are made from, and Python prefers them: compile again after a change, or clean up.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
MODULES: Final = (
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


def compile_in(folder: Path) -> None:
    """Compile the core of the checkout in ``folder``; raise CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        for package in ("exchange", "market"):
            shutil.copytree(folder / package, Path(scratch) / package)
        clean(Path(scratch))
        sources = [f"exchange/{module}.py" for module in MODULES]
        command = [sys.executable, "-m", "mypyc", *sources]
        subprocess.run(command, cwd=scratch, check=True, capture_output=True)  # noqa: S603 - ours
        clean(folder)
        for built in extensions(Path(scratch)):
            shutil.copy2(built, folder / built.relative_to(scratch))


def clean(folder: Path) -> None:
    """Take the compiled modules away."""
    for built in extensions(folder):
        built.unlink()


def extensions(folder: Path) -> list[Path]:
    """Return the compiled modules in a checkout."""
    suffixes = ("so", "pyd")
    shared = [path for suffix in suffixes for path in folder.glob(f"*__mypyc.*.{suffix}")]
    return shared + [
        path
        for module in MODULES
        for suffix in suffixes
        for path in (folder / "exchange").glob(f"{module}.*.{suffix}")
    ]


def main() -> None:
    """Compile, or clean up; end with the compiler's complaint if it has one."""
    parser = argparse.ArgumentParser(description="Compile the exchange's core with mypyc.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--clean", action="store_true", help="take the compiled modules away")
    options = parser.parse_args()
    if options.clean:
        clean(options.folder)
        return
    try:
        compile_in(options.folder)
    except subprocess.CalledProcessError as error:
        sys.exit(f"mypyc failed:\n{error.stdout.decode()}\n{error.stderr.decode()}")


if __name__ == "__main__":
    main()
