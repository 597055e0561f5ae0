"""What all tests share: what a machine may not have, who runs which test, and what is traced."""

import gc
import os
import shutil
import tomllib
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from pkgutil import walk_packages

import pytest
import structlog
from hypothesis import HealthCheck, settings

from market.settings import ROOT
from tests.ports import held_port


@pytest.fixture(scope="session")
def program() -> Callable[..., str]:
    """Return a lookup: the path of the first program found under the given names.

    Where none is installed the test is skipped with the reason, or fails when REQUIRE_PROGRAMS is
    set: then the machine promised to have them all.
    """

    def find(*names: str) -> str:
        for name in names:
            if path := shutil.which(name):
                return path
        missing = f"needs {' or '.join(names)}, which is not installed"
        if os.environ.get("REQUIRE_PROGRAMS"):
            pytest.fail(missing)
        pytest.skip(missing)

    return find


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is the test's alone, to listen at or to find nobody at."""
    with held_port() as port:
        yield port


def pytest_configure() -> None:
    """Let an example of hypothesis take the time that the machine gives it."""
    settings.register_profile(
        "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("patient")


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes share the tests: one more than cores, for much of it is waiting."""
    return 1 + (os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Trace what the import of our own modules runs, and not what the collection of tests does.

    That is thousands of calls in the libraries for each line of ours, in each of the processes.
    """
    coverage = session.config.pluginmanager.getplugin("_cov")
    if coverage is None or coverage.cov_controller is None or _leaves_tests_to_others(session):
        return (yield)
    _import_what_is_traced()
    coverage.cov_controller.pause()
    try:
        return (yield)
    finally:
        coverage.cov_controller.resume()


def _leaves_tests_to_others(session: pytest.Session) -> bool:
    return session.config.pluginmanager.hasplugin("dsession")


def _import_what_is_traced() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name in settings["tool"]["coverage"]["run"]["source"]:
        package = import_module(name)
        for module in walk_packages(package.__path__, f"{name}."):
            import_module(module.name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what needs the browser first; leave that, and properties, out of what coverage traces.

    One process then has all pages: the others start no browser and no market of their own. Tests
    by example show each line; to trace it for hundreds of drawn ones costs three times their time.
    """
    items.sort(key=lambda item: not _has_pages(item))
    for item in items:
        if _has_pages(item) or item.get_closest_marker("hypothesis"):
            item.add_marker("no_cover")


def _has_pages(item: pytest.Item) -> bool:
    return "browser" in getattr(item, "fixturenames", ())


def pytest_collection_finish() -> None:
    """Spare the collector what is there for the whole session: all tests and what they import."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Undo what a test, or the program that it ran in this process, has set up for the logs."""
    yield
    structlog.reset_defaults()
