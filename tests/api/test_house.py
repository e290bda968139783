"""What the routes may ask."""

from receiver.api.app import make_app
from receiver.api.house import HOUSE
from tests.api.made import Outside


async def test_the_house_is_where_the_routes_look_for_it(outside: Outside) -> None:
    assert make_app(outside.house)[HOUSE] is outside.house
