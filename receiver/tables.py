"""The arrays of tables of the configuration: ``[[listen]]``, ``[[record]]`` and ``[[hook]]``."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from receiver.endpoints import Source, source
from receiver.forms import web_url

Text = Annotated[str, Meta(min_length=1)]


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[listen]]``: a port that is always open; what comes there is recorded, one recording after the other.

    ``label`` is KEY=VALUE. ``source`` None: whoever is in ``[media].allow``.
    """

    port: Annotated[int, Meta(ge=1_024, le=65_535)]
    codec: Literal["PCMU", "PCMA", "OPUS"] = "PCMU"
    label: Annotated[str, Meta(pattern="^[^=]+=")] | None = None
    source: Text | None = None

    @property
    def labels(self) -> dict[str, str]:
        """As a tap has them."""
        key, _, value = (self.label or "").partition("=")
        return {key: value} if key else {}

    def admitted(self) -> Source:
        """Who may send. Raises ``ValueError``."""
        return Source("allow-list", None) if self.source is None else source(self.source)


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[record]]``: inbound calls of this topic are answered and recorded."""

    topic: Text
    direction: Literal["speak", "listen", "both"] = "both"
    layout: Literal["mono", "stereo"] = "mono"
    labels: dict[str, str] = {}


class Hook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[hook]]``: a program (its words, no shell) or a URL that is told what happens."""

    command: tuple[Text, ...] = ()
    url: Text | None = None
    secret_file: Text | None = None
    timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 10


def wrong_ports(listens: Sequence[Listen], allow: Sequence[str], even: bool) -> Iterator[str]:
    """What is wrong with ``[[listen]]`` although each value has the right type."""
    ports = []
    for number, listen in enumerate(listens):
        where = f"listen[{number}]"
        if listen.port in ports:
            yield f"{where}.port: expected another one than before, found {listen.port} again"
        if even and listen.port % 2:
            yield f'{where}.port: expected an even one, because media.rtcp is "both"; found {listen.port}'
        if listen.source is None and not allow:
            expected = '"address", "address:port" or "any", because [media].allow is empty'
            yield f"{where}.source: expected {expected}; found none"
        try:
            listen.admitted()
        except ValueError as error:
            yield f"{where}.source: expected {error}, found {listen.source!r}"
        ports.append(listen.port)


def wrong_records(records: Sequence[Record]) -> Iterator[str]:
    """What is wrong with ``[[record]]`` although each value has the right type."""
    for number, record in enumerate(records):
        if record.layout == "stereo" and record.direction != "both":
            yield f'record[{number}].direction: expected "both" with layout "stereo", found {record.direction!r}'


def wrong_hooks(hooks: Sequence[Hook]) -> Iterator[str]:
    """What is wrong with ``[[hook]]`` although each value has the right type."""
    called = []
    for number, hook in enumerate(hooks):
        where, what = f"hook[{number}]", hook.url or hook.command
        if bool(hook.command) is bool(hook.url):
            yield f"{where}: expected either command or url, found {'both' if hook.url else 'neither'}"
        elif what in called:
            yield f"{where}: expected another command or url than before, found {what!r} again"
        if hook.command and hook.secret_file is not None:
            yield f"{where}.secret_file: expected none with a command, found {hook.secret_file!r}"
        if hook.url is not None:
            try:
                web_url(hook.url)
            except ValueError as error:
                yield f"{where}.url: expected {error}, found {hook.url!r}"
        called.append(what)
