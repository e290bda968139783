"""One build for all tests of the image."""

from collections.abc import Iterator

import pytest

from tests.container.builder import Builder, Image


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """A store of images that is gone afterwards."""
    made = Builder(tmp_path_factory.mktemp("buildah"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def image(builder: Builder) -> Image:
    """What the Dockerfile makes of this tree."""
    return builder.build()
