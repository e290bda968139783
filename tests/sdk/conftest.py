"""The SDKs are peers from outside: where they are missing, the tests that need them say how to get them."""

from collections.abc import Iterator

import pytest

from tests.sdk.peers import INSTALL, SDK, Ear
from tests.tools import level


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """As ``needs``, for what ``tests/sdk/install`` brings."""
    if not (SDK / "stamp").exists():
        if level() == "quick":
            pytest.skip(f"the vendor's SDKs are not there; {INSTALL}")
        pytest.fail(f"the vendor's SDKs are not there; {INSTALL}", pytrace=False)
