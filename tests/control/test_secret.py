"""Paths that nobody can guess."""

import re

from receiver.control import secret


def test_each_is_another_and_may_stand_in_a_url() -> None:
    made = {secret.fresh() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", each) for each in made)


def test_a_digest_finds_it_again_and_does_not_tell_it() -> None:
    path = secret.fresh()
    assert secret.digest(path) == secret.digest(path) != secret.digest(secret.fresh())
    assert re.fullmatch(r"[0-9a-f]{64}", secret.digest(path))
    assert path not in secret.digest(path)


def test_what_is_no_text_of_a_url_has_a_digest_too() -> None:
    assert len(secret.digest("\ud800")) == 64
