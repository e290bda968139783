"""The arrays of tables of the configuration: ``[[record]]`` and ``[[hook]]``."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from receiver.forms import web_url

Text = Annotated[str, Meta(min_length=1)]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[record]]``: inbound calls of this topic are answered and recorded."""

    topic: Text
    direction: Literal["speak", "listen", "both"] = "both"
    layout: Literal["mono"] = "mono"
    labels: dict[str, str] = {}


class Hook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[hook]]``: a program (its words, no shell) or a URL that is told what happens."""

    command: tuple[Text, ...] = ()
    url: Text | None = None
    secret_file: Text | None = None
    timeout_s: Annotated[float, Meta(ge=0.1, le=600)] = 10


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
