"""JSON-RPC 2.0 without a socket: nothing raises, each question has one answer."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.control.rpc import Answered, Asked, Fault, Nonsense, Rpc

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


def asking() -> tuple[Rpc, str]:
    """One that waits for an answer."""
    rpc = Rpc(make_id=iter("abc").__next__)
    return rpc, rpc.call("calling.tap", {"x": 1})


def answer(**members: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", **members})


def test_a_question_is_text_with_an_id_and_its_answer_is_known_by_it() -> None:
    rpc, number = asking()
    (text,) = rpc.take()
    assert json.loads(text) == {"jsonrpc": "2.0", "id": "a", "method": "calling.tap", "params": {"x": 1}}
    assert rpc.take() == []
    assert dict(rpc.waiting) == {number: "calling.tap"}
    assert rpc.receive(answer(id=number, result={"code": "200"})) == Answered("a", "calling.tap", {"code": "200"}, None)
    assert not rpc.waiting


def test_a_result_may_come_one_level_deeper() -> None:
    rpc, number = asking()
    told = rpc.receive(answer(id=number, result={"result": {"code": "200"}}))
    assert isinstance(told, Answered)
    assert told.result == {"code": "200"}


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ({"code": -32602, "message": "no"}, Fault("-32602", "no")),
        ({}, Fault("", "an error without a message")),
        ("x", Fault("", "an error without a message")),
    ],
)
def test_an_error_is_a_fault(error: Any, fault: Fault) -> None:
    rpc, number = asking()
    told = rpc.receive(answer(id=number, error=error))
    assert isinstance(told, Answered)
    assert told.fault == fault


def test_a_question_of_theirs_is_answered_with_its_id_and_one_without_is_not() -> None:
    rpc = Rpc()
    assert rpc.receive(answer(id="e-1", method="signalwire.ping", params={"t": 1})) == Asked(
        "e-1", "signalwire.ping", {"t": 1}
    )
    assert rpc.receive(answer(method="x")) == Asked(None, "x", {})
    rpc.answer("e-1", {})
    rpc.answer(None, {})
    assert [json.loads(text) for text in rpc.take()] == [{"jsonrpc": "2.0", "id": "e-1", "result": {}}]


@pytest.mark.parametrize(
    "text",
    ["", "no", "[]", "7", "null", "[" * 100_000, '{"id":"a"', '{"id":"stranger","result":{}}', '{"id":"a","result":7}',
     '{"id":7,"result":{}}', '{"id":["a"],"result":{}}', '{"id":"a"}', "\ud800", '{"method":7,"id":"a"}'],
)  # fmt: skip
def test_e_what_is_no_answer_to_us_and_no_question_is_nonsense_and_answers_nothing(text: str) -> None:
    rpc, number = asking()
    assert isinstance(rpc.receive(text), Nonsense)
    assert number in rpc.waiting


def test_an_answer_that_comes_twice_is_nonsense_the_second_time() -> None:
    rpc, number = asking()
    rpc.receive(answer(id=number, result={}))
    assert isinstance(rpc.receive(answer(id=number, result={})), Nonsense)


@given(
    st.text()
    | JSON.map(json.dumps)
    | st.dictionaries(st.sampled_from(["id", "method", "params", "result", "error"]), JSON | st.just("a")).map(
        json.dumps
    )
)
@example('{"id": "a", "error": [1]}')
def test_e_no_text_raises(text: str) -> None:
    rpc, _ = asking()
    assert isinstance(rpc.receive(text), Answered | Asked | Nonsense)
