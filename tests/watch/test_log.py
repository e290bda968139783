"""The log: one JSON object a line, coloured for people, and never a secret."""

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from receiver.watch import log


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    logging.captureWarnings(False)
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_elsewhere_than_on_a_terminal_a_line_is_a_json_object() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    structlog.get_logger().info("recording finished", seconds=61.2, party="spräch")
    (line,) = lines(stream)
    assert line.items() >= {"event": "recording finished", "level": "info", "seconds": 61.2, "party": "spräch"}.items()
    assert str(line["timestamp"]).endswith("Z")


def test_what_is_below_the_level_is_not_said() -> None:
    stream = io.StringIO()
    log.configure("warning", stream=stream)
    structlog.get_logger().info("chatter")
    structlog.get_logger().warning("news")
    assert [line["event"] for line in lines(stream)] == ["news"]


def test_a_person_gets_a_sentence() -> None:
    stream = io.StringIO()
    log.configure(form="console", stream=stream)
    structlog.get_logger().info("recording finished", seconds=61.2)
    assert "recording finished" in stream.getvalue()
    assert "seconds=61.2" in stream.getvalue()
    assert "{" not in stream.getvalue()


@pytest.mark.parametrize(
    "name",
    ["token", "api_token", "SRTP_KEY", "key", "Authorization", "authorization_state", "client-secret", "db_password"],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_d9_a_secret_is_masked_wherever_it_stands(name: str, form: str) -> None:
    stream = io.StringIO()
    log.configure(form=form, stream=stream)
    structlog.get_logger().info("told", **{name: "hush"})
    structlog.get_logger().info("told", body={"inner": [{name: "hush"}]})
    assert stream.getvalue().count("********") == 2
    assert "hush" not in stream.getvalue()


@pytest.mark.parametrize("name", ["keyframe", "monkey", "packets", "tap"])
def test_what_is_no_secret_is_seen(name: str) -> None:
    assert not log.is_secret(name)


@pytest.mark.parametrize("form", ["json", "console"])
def test_d9_a_traceback_shows_no_local_variables(form: str) -> None:
    stream = io.StringIO()
    log.configure(form=form, stream=stream)

    def fail(whispered: str) -> None:
        raise RuntimeError("broken")

    try:
        fail("hu" + "sh")
    except RuntimeError:
        structlog.get_logger().exception("oh")
    assert "RuntimeError: broken" in stream.getvalue()
    assert "hush" not in stream.getvalue()


def test_what_other_packages_say_comes_in_our_form() -> None:
    stream = io.StringIO()
    log.configure(stream=stream)
    logging.getLogger("aiohttp.server").error("Error handling %s", "request")
    logging.getLogger("asyncio").info("chatter")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    first, second = lines(stream)
    assert first.items() >= {"event": "Error handling request", "logger": "aiohttp.server", "level": "error"}.items()
    assert "old" in str(second["event"])
