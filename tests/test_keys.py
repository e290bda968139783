"""RFC 4568: what is taken, what is refused, and that nothing of a key is ever said."""

import base64
import pickle

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import keys
from receiver.keys import SUITES, Key

CM = "AES_CM_128_HMAC_SHA1_80"
RFC = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"  # RFC 4568, section 4
WRITTEN = {suite: base64.b64encode(bytes(range(size))).decode() for suite, size in SUITES.items()}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("behind", ["", "|2^20", "|2^31", "|1048576"])
def test_every_suite_is_read_with_padding_and_without_and_a_lifetime_is_the_senders(suite: str, behind: str) -> None:
    key = Key(suite, bytes(range(SUITES[suite])))
    assert keys.read(suite, f"inline:{WRITTEN[suite]}{behind}") == key
    assert keys.read(suite, f"inline:{WRITTEN[suite].rstrip('=')}{behind}") == key
    assert keys.read(suite, keys.written(key)) == key


@pytest.mark.parametrize(
    ("suite", "parameters", "said"),
    [
        ("AES_CM_128_HMAC_SHA1_64", f"inline:{RFC}", "suite: one of AES_CM_128_HMAC_SHA1_80, AES_CM"),
        ("aes_cm_128_hmac_sha1_80", f"inline:{RFC}", "suite: one of"),
        ("F8_128_HMAC_SHA1_80", f"inline:{RFC}", "suite: one of"),
        (CM, RFC, "inline: and the base64 of 30 octets"),
        (CM, "inline:", "inline: and the base64 of 30 octets"),
        (CM, f"inline:{RFC[:-4]}", "these are 27 octets"),
        (CM, f"inline:{RFC}QUJD", "these are 33 octets"),
        ("AEAD_AES_256_GCM", f"inline:{RFC}", "base64 of 44 octets (master key and salt of AEAD_AES_256_GCM), perhaps"),
        (CM, f"inline:{RFC[:-1]}", "these are 29 octets"),
        (CM, f"inline:{RFC[:-3]}", "no base64"),
        (CM, f"inline:{RFC[:-1]}*", "inline: and"),
        (CM, f"inline:{RFC}|2^20|1:4", "a master key identifier (MKI) is not supported"),
        (CM, f"inline:{RFC}|1:4", "MKI"),
        (CM, f"inline:{RFC}|2^20;inline:{RFC}|2^20", "one key, not several"),
        (CM, f"inline:{RFC}|forever", "inline: and"),
        (CM, f"INLINE:{RFC}", "inline: and"),
        (CM, f" inline:{RFC}", "inline: and"),
    ],
)
def test_what_is_not_taken_is_refused_with_what_was_expected(suite: str, parameters: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"inline:|one of") as refused:
        keys.read(suite, parameters)
    assert said in str(refused.value)
    assert RFC[:8] not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        f"{CM} inline:{RFC}",
        f"\n  {CM} inline:{RFC}|2^20 \n\n",
        f"1 {CM} inline:{RFC}\n",
        f"a=crypto:1 {CM} inline:{RFC}|2^20\n",
    ],
)
def test_a_file_holds_the_line_that_sdp_has(text: str) -> None:
    assert keys.read_file(text) == keys.read(CM, f"inline:{RFC}")


@pytest.mark.parametrize(
    "text",
    [
        "", f"{CM}", f"inline:{RFC}", f"{CM} inline:{RFC}\n{CM} inline:{RFC}", f"{CM} inline:{RFC} UNENCRYPTED_SRTP",
        f"{CM} inline:{RFC} KDR=1", f"a=crypto:{CM} inline:{RFC[:-4]}", f"m=crypto:1 {CM} inline:{RFC}",
    ],
)  # fmt: skip
def test_a_file_with_anything_else_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"one line SUITE|these are 27 octets") as refused:
        keys.read_file(text)
    assert RFC[:8] not in str(refused.value)


@given(st.text(max_size=80).filter(lambda suite: suite not in SUITES), st.text(max_size=80))
@settings(max_examples=200)
def test_d9_no_refusal_says_what_was_found(suite: str, parameters: str) -> None:
    for found in (parameters, f"inline:{parameters}"):
        try:
            keys.read(CM, found)
        except ValueError as refused:
            plain = str(refused)
            assert plain.startswith("key: inline: and the base64 of 30 octets (master key and salt of")
            assert len(plain) < 200
    with pytest.raises(ValueError, match="suite: one of") as unknown:
        keys.read(suite, f"inline:{RFC}")
    assert str(unknown.value) == f"suite: one of {', '.join(SUITES)}"


def test_d9_no_text_of_a_key_shows_it() -> None:
    key = keys.read(CM, f"inline:{RFC}")
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr({"key": key}), str(list(key.__rich_repr__()))):
        assert "octets" not in shown
        assert "=-n@" not in shown, "that is how the octets begin"
        assert CM in shown


def test_a_key_goes_over_the_link_whole() -> None:
    key = keys.read(CM, f"inline:{RFC}")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(key), type=Key) == key
    assert pickle.loads(pickle.dumps(key)) == key
