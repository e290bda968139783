"""What is around every route."""

import pytest

from tests.api.made import Outside, problem


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v1/taps", "/v1/recordings", "/nothing"])
async def test_no_answer_says_more_of_us_than_needed_or_is_kept(outside: Outside, path: str) -> None:
    client = await outside.client()
    response = await client.get(path)
    assert response.headers["Server"] == "tapdeck"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_body_is_bounded(outside: Outside) -> None:
    client = await outside.client()
    await problem(await client.post("/v1/taps", data=b"[" * 65_537), 413, "request_entity_too_large")
