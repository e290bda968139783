"""Codecs by name and by payload type."""

import pytest

from receiver.control.codecs import LAWS, codec_of, law_of


def test_each_name_has_a_payload_type_and_comes_back_from_it() -> None:
    assert {name: codec_of(law) for name, law in LAWS.items()} == {name: name for name in LAWS}
    assert [law_of(name) for name in ("PCMU", "PCMA", "OPUS")] == [0, 8, 111]
    assert (law_of("OPUS", 96), law_of("PCMA", 96)) == (96, 8)


def test_a14_every_dynamic_type_that_was_announced_is_opus() -> None:
    assert {codec_of(law) for law in range(96, 128)} == {"OPUS"}
    for unknown in (9, 13, 95):
        with pytest.raises(KeyError):
            codec_of(unknown)
    with pytest.raises(KeyError):
        law_of("G722")
