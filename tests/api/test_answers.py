"""How an answer looks."""

from receiver.api.answers import json


def test_an_answer_is_json_with_its_status() -> None:
    answer = json({"a": 1}, 201)
    assert (answer.status, answer.content_type, answer.body) == (201, "application/json", b'{"a":1}')
