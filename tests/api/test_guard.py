"""Rule D10: who may ask."""

import pytest

from tests.api.made import Outside, problem

TOKEN = "correct horse"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}r"},
        {"Authorization": "Bearer \u00e4"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/taps", "/v1/recordings", "/v1/taps/x", "/nothing", "/livez/"])
async def test_d10_with_a_token_nobody_gets_in_without_it(outside: Outside, headers: dict[str, str], path: str) -> None:
    client = await outside.client(token=TOKEN)
    response = await client.get(path, headers=headers)
    await problem(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="tapdeck"'
    assert TOKEN not in await response.text()


async def test_d10_with_the_token_one_gets_in(outside: Outside) -> None:
    client = await outside.client(token=TOKEN)
    for scheme in ("Bearer", "bearer"):
        assert (await client.get("/v1/taps", headers={"Authorization": f"{scheme} {TOKEN}"})).status == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_d10_whether_it_lives_anybody_may_ask(outside: Outside, path: str) -> None:
    client = await outside.client(token=TOKEN)
    assert (await client.get(path, headers={"Host": "anything.example", "Origin": "x"})).status == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.3.2.1"])
async def test_d10_without_a_token_programs_of_this_host_get_in(outside: Outside, host: str) -> None:
    client = await outside.client()
    assert (await client.get("/v1/taps", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://page.example"},
        {"Origin": "null"},
        {"Host": "page.example"},
        {"Host": "page.example:8080"},
        {"Host": "192.0.2.1"},
        {"Host": "[::zz]"},
        {"Host": ""},
    ],
)
async def test_d10_without_a_token_no_web_page_gets_in(outside: Outside, headers: dict[str, str]) -> None:
    client = await outside.client()
    await problem(await client.get("/v1/taps", headers=headers), 403, "not_from_a_page")
