"""How all tests run: hypothesis by level, and what happens where a program from outside is missing."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.tools import level, missing

# A deadline would be an assertion on wall time. Derandomized where the answer must be the same for everybody; --full
# looks for new examples.
settings.register_profile("quick", max_examples=30, deadline=None, derandomize=True)
settings.register_profile(
    "all", max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "full", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(level())


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose ``needs`` are not met, with the remedy; where nothing may be skipped, fail it."""
    for mark in item.iter_markers("needs"):
        reason = missing(*mark.args)
        if reason is not None and level() == "quick":
            pytest.skip(reason)
        elif reason is not None:
            pytest.fail(reason, pytrace=False)


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A command that is run inside a test sets the log up for its process, with a stream that ends with the test."""
    root = logging.getLogger()
    handlers, number = root.handlers, root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, number
