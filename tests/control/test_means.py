"""What the roster raises tells what to do about it."""

from receiver.control.means import NotNow, TapFailed
from receiver.ledger.rows import Problem
from tests.control.test_taps import tap


def test_one_that_cannot_be_had_now_says_when_it_is_worth_asking_again() -> None:
    later = NotNow("no_port", "no free port", 7)
    assert (later.code, later.message, later.retry_s, str(later)) == ("no_port", "no free port", 7, "no free port")


def test_one_that_failed_says_why() -> None:
    assert str(TapFailed(tap(problem=Problem("storage", "no space")))) == "no space"
    assert TapFailed(tap()).problem.code == "refused"
