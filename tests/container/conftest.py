"""One build for all tests of the image."""

from collections.abc import Iterator

import pytest

from tests.container.builder import Builder, Image


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """What the Dockerfile makes of this tree."""
    builder = Builder(tmp_path_factory.mktemp("buildah"))
    try:
        yield builder.build()
    finally:
        builder.close()
