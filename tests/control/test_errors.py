"""How asking the relay may fail, in words and in a code."""

import pytest

from receiver.control.errors import RelayError


@pytest.mark.parametrize(("code", "gone"), [("404", True), ("410", True), ("400", False), ("", False)])
def test_what_is_gone_is_told_from_what_is_refused(code: str, gone: bool) -> None:
    error = RelayError(code, "no such call")
    assert error.gone is gone
    assert str(error) == ("no such call (code " + code + ")" if code else "no such call")
