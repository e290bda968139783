"""Codecs by the names that RELAY and SDP know them by, and by their RTP payload types.

G.711's two are fixed (RFC 3551); Opus has a dynamic one, which means what was announced: 111 where nobody says another.
"""

from types import MappingProxyType
from typing import Final

OPUS: Final = "OPUS"
OPUS_TYPE: Final = 111
DYNAMIC: Final = 96
"""Payload types from here on are dynamic (RFC 3551, section 6)."""
LAWS: Final = MappingProxyType({"PCMU": 0, "PCMA": 8, OPUS: OPUS_TYPE})
_NAMES: Final = MappingProxyType({0: "PCMU", 8: "PCMA"})


def law_of(codec: str, opus: int = OPUS_TYPE) -> int:
    """The payload type of a codec, where that of Opus is ``opus``. KeyError for no codec."""
    return opus if codec == OPUS else LAWS[codec]


def codec_of(law: int) -> str:
    """The codec of a payload type. KeyError for no codec."""
    return OPUS if law >= DYNAMIC else _NAMES[law]
