"""What the loss and the return of the relay's socket mean. Pure: taps in, words out."""

from hypothesis import given
from hypothesis import strategies as st

from receiver.control import reconcile
from receiver.control.reconcile import Debt, Debts
from receiver.control.taps import Word
from tests.control.test_taps import tap


def test_d1_who_said_tapping_cannot_be_heard_while_the_socket_is_away() -> None:
    taps = [tap(word=word) for word in Word]
    reconcile.fell(taps)
    assert [each.word for each in taps] == [Word.NOBODYS, Word.AWAY, Word.AWAY, Word.AWAY]


def test_d1_what_was_said_meanwhile_may_be_lost() -> None:
    taps = [tap(word=word) for word in Word]
    reconcile.fell(taps)
    doubtful = reconcile.returned(taps)
    assert [each.word for each in doubtful] == [Word.DOUBTFUL] * 3
    assert taps[0].word is Word.NOBODYS


@given(st.lists(st.booleans()))
def test_d6_however_often_it_falls_a_tap_is_never_left_with_a_word_that_nobody_keeps(falls: list[bool]) -> None:
    one = tap(word=Word.TAPPING)
    for fall in falls:
        if fall:
            reconcile.fell([one])
            assert one.word is Word.AWAY
        else:
            reconcile.returned([one])
            assert one.word is not Word.AWAY
    assert (one.word is Word.TAPPING) == (True not in falls)


def test_a_stop_is_owed_once_and_the_oldest_are_let_go_of() -> None:
    debts = Debts(most=3)
    for number in (1, 2, 2, 3, 4):
        debts.owe(Debt(str(number), "c", "n"))
    assert len(debts) == 3
    assert [each.control_id for each in debts.take()] == ["2", "3", "4"]
    assert debts.take() == []
