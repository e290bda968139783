"""G.711 tables against libav and against ITU-T's own reference (G.191), code by code and sample by sample."""

import itertools
from typing import Literal

import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.codec.context import CodecContext
from av.packet import Packet
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.wire import g711

ALL_CODES = np.arange(256, dtype=np.uint8)
ALL_SAMPLES = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
LAWS = [pytest.param(g711.PCMU, id="PCMU"), pytest.param(g711.PCMA, id="PCMA")]
LIBAV_NAME = {g711.PCMU: "pcm_mulaw", g711.PCMA: "pcm_alaw"}


def table(law: int) -> NDArray[np.int16]:
    return g711.ALAW if law == g711.PCMA else g711.ULAW


def libav(law: int, mode: Literal["r", "w"]) -> AudioCodecContext:
    context = CodecContext.create(LIBAV_NAME[law], mode)
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout = g711.CLOCK_RATE, AudioLayout("mono")
    return context


def libav_decoded(law: int, codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    context = libav(law, "r")
    return np.concatenate([frame.to_ndarray().ravel() for frame in context.decode(Packet(codes.tobytes()))])


def libav_encoded(law: int, samples: NDArray[np.int16]) -> NDArray[np.uint8]:
    context = libav(law, "w")
    context.format = AudioFormat("s16")
    context.open()
    frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = g711.CLOCK_RATE
    return np.frombuffer(b"".join(bytes(packet) for packet in context.encode(frame)), np.uint8)


def itu_ulaw_compress(sample: int) -> int:
    """G.191 software tools library, ``ulaw_compress``, one sample, step by step."""
    absno = min(((~sample >> 2) if sample < 0 else (sample >> 2)) + 33, 0x1FFF)
    i, segno = absno >> 6, 1
    while i != 0:
        segno, i = segno + 1, i >> 1
    code = (0x08 - segno) << 4 | 0x0F - (absno >> segno & 0x0F)
    return code | 0x80 if sample >= 0 else code


def itu_alaw_compress(sample: int) -> int:
    """G.191 software tools library, ``alaw_compress``, one sample, step by step."""
    ix = ~sample >> 4 if sample < 0 else sample >> 4
    if ix > 15:
        iexp = 1
        while ix > 16 + 15:
            ix, iexp = ix >> 1, iexp + 1
        ix = ix - 16 + (iexp << 4)
    return (ix | 0x80 if sample >= 0 else ix) ^ 0x55


ITU = {g711.PCMU: itu_ulaw_compress, g711.PCMA: itu_alaw_compress}


@pytest.mark.parametrize("law", LAWS)
def test_p1_all_256_codes_of_a_law_decode_as_in_libav(law: int) -> None:
    assert np.array_equal(table(law), libav_decoded(law, ALL_CODES))


@pytest.mark.parametrize("law", LAWS)
def test_all_65536_samples_encode_as_in_itus_reference(law: int) -> None:
    reference = [ITU[law](int(sample)) for sample in ALL_SAMPLES]
    assert g711.encode(law, ALL_SAMPLES).tolist() == reference


@pytest.mark.parametrize("law", LAWS)
def test_libav_encodes_otherwise_only_beside_the_border_of_two_neighbouring_codes(law: int) -> None:
    """libav rounds to the nearest sample; ITU-T decides at the standard's decision values. They agree on 64,572."""
    ours, theirs = g711.encode(law, ALL_SAMPLES), libav_encoded(law, ALL_SAMPLES)
    differ = np.flatnonzero(ours != theirs)
    assert len(differ) == 964

    level = {int(sample): place for place, sample in enumerate(np.unique(table(law)))}
    our_level = np.array([level[int(sample)] for sample in table(law)[ours[differ]]])
    their_level = np.array([level[int(sample)] for sample in table(law)[theirs[differ]]])
    assert (abs(our_level - their_level) == 1).all()
    border = (table(law)[ours[differ]].astype(int) + table(law)[theirs[differ]]) / 2
    assert (abs(ALL_SAMPLES[differ] - border) <= 256 // 2).all()


@pytest.mark.parametrize("law", LAWS)
def test_every_code_comes_back_from_its_own_sample_but_the_negative_zero(law: int) -> None:
    back = g711.encode(law, table(law))
    assert np.flatnonzero(back != ALL_CODES).tolist() == ([0x7F] if law == g711.PCMU else [])


def test_only_the_two_zeros_of_ulaw_decode_to_silence() -> None:
    assert np.flatnonzero(g711.ULAW == 0).tolist() == [0x7F, 0xFF]
    assert np.flatnonzero(g711.ALAW == 0).tolist() == []


def test_a6_no_code_decodes_to_the_value_that_means_absence() -> None:
    assert (g711.ULAW.min(), g711.ULAW.max()) == (-32124, 32124)
    assert (g711.ALAW.min(), g711.ALAW.max()) == (-32256, 32256)


@pytest.mark.parametrize(("own", "law"), [(0, g711.PCMU), (1, g711.PCMA)])
def test_a_pair_of_octets_decodes_as_the_two_octets_in_their_order(own: int, law: int) -> None:
    octets = np.array(list(itertools.product(range(256), repeat=2)), np.uint8)
    assert np.array_equal(
        g711.PAIRS[own][octets.view(np.uint16)[:, 0]].view(np.int16).reshape(-1, 2), table(law)[octets]
    )


@given(
    st.integers(0, 6).flatmap(lambda n: st.lists(st.sampled_from([g711.PCMU, g711.PCMA]), min_size=n, max_size=n)),
    st.integers(1, 330),
    st.integers(0, 2**32 - 1),
)
def test_a14_each_row_is_decoded_by_its_own_law_whatever_its_size(laws: list[int], size: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 256, (len(laws), size), np.uint8)
    truth = [table(law)[row].tolist() for law, row in zip(laws, codes, strict=True)]
    decoded = g711.decode(np.array(laws, np.uint8), codes)
    assert decoded.dtype == np.int16
    assert decoded.flags.c_contiguous
    assert decoded.tolist() == truth


@pytest.mark.parametrize("at", [12, 16, 13])
@pytest.mark.parametrize("size", [160, 161])
def test_a_view_into_the_slab_is_decoded_in_place(at: int, size: int) -> None:
    slab = np.random.default_rng(5).integers(0, 256, (40, 1536), np.uint8)
    decoded = g711.decode(np.full(40, g711.PCMA, np.uint8), slab[:, at : at + size])
    assert np.array_equal(decoded, g711.ALAW[slab[:, at : at + size]])


def test_encode_takes_any_shape_and_any_stride() -> None:
    samples = ALL_SAMPLES.reshape(2, 128, 256)
    assert np.array_equal(g711.encode(g711.PCMU, samples[:, :, ::2]), g711.encode(g711.PCMU, samples)[:, :, ::2])


def test_a_law_that_is_neither_is_refused() -> None:
    with pytest.raises(KeyError):
        g711.encode(9, ALL_SAMPLES)
