"""The log: structlog on stderr, one JSON object a line; coloured lines for a person at a terminal.

Count always, speak seldom, and once per life say everything. A value whose key smells of a secret is masked here, last,
whoever passed it (rule D9); a traceback never shows local variables, because those may hold one.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

MASKED: Final = "********"
SECRET: Final = ("token", "secret", "password", "authorization", "credential", "private")
SECRET_WORDS: Final = frozenset({"key", "keys"})  # alone or behind an underscore: srtp_key, but not keyframe


def configure(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Set the log up for this process. ``form``: json, console, or auto (console where ``stream`` is a terminal)."""
    stream = sys.stderr if stream is None else stream
    number = logging.getLevelNamesMapping()[level.upper()]
    console = form == "console" or (form == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            mask,
            *(_console(stream) if console else _json()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Foreign()]
    root.setLevel(max(number, logging.WARNING))  # what others write at their level "info" is not our news
    logging.captureWarnings(True)


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets, also inside mappings and lists; put what every line has in front."""
    event = {name: event[name] for name in ("timestamp", "level", "event") if name in event} | dict(event)
    return {name: MASKED if is_secret(name) else _masked(value) for name, value in event.items()}


def is_secret(name: str) -> bool:
    """Whether the value under this name must not be seen."""
    word = name.lower().replace("-", "_")
    return any(smell in word for smell in SECRET) or word.rpartition("_")[2] in SECRET_WORDS


def _masked(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: MASKED if is_secret(str(name)) else _masked(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    return value


def _json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]


def _console(stream: TextIO) -> list[structlog.typing.Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
        )
    ]


class _Foreign(logging.Handler):
    """What aiohttp, asyncio and the interpreter's warnings have to say, in our form."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger().bind(logger=record.name)
        log.log(record.levelno, record.getMessage(), **({"exc_info": record.exc_info} if record.exc_info else {}))
