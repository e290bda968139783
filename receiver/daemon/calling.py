"""How a hook is called: a web server by POST, signed; a program with the document on its standard input.

Signed by the conventions of Standard Webhooks: ``webhook-id``, ``webhook-timestamp``, and ``webhook-signature`` with
``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.document``. A key that begins with ``whsec_`` is base64, as
these conventions have it; any other is taken as it is.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from receiver import __version__, tables
from receiver.control.hooks import Call, Hook, HookFailed
from receiver.settings import ConfigError, Settings

LONGEST_KEY: Final = 65_536  # octets
ENCODED: Final = b"whsec_"


class Web:
    """Calls a URL. ``key`` None: nothing is signed."""

    def __init__(self, url: str, key: bytes | None, timeout_s: float) -> None:
        self._url, self._key = url, key
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def __call__(self, call: Call) -> None:
        """Any status from 200 to 299 is a yes. No redirect is followed: the operator said where."""
        headers = {
            "Content-Type": "application/json", "User-Agent": f"tapdeck/{__version__}", "webhook-id": call.id,
            "webhook-timestamp": str(call.at_s),
        }  # fmt: skip
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, call)
        try:
            # Calls are rare, and a session of its own can be left hanging nowhere.
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(self._url, data=call.document, headers=headers, allow_redirects=False) as answer,
            ):
                if not 200 <= answer.status < 300:
                    raise HookFailed(f"HTTP status {answer.status}")
        except TimeoutError:
            raise HookFailed(f"no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HookFailed(getattr(error, "strerror", None) or type(error).__name__) from error


class Program:
    """Calls a program, not through a shell."""

    def __init__(self, command: Sequence[str], timeout_s: float) -> None:
        self._command, self._timeout_s = tuple(command), timeout_s

    async def __call__(self, call: Call) -> None:
        """Exit status 0 is a yes. What has not ended in time is killed, with all that it started."""
        environ = os.environ | {"TAPDECK_EVENT": call.event, "TAPDECK_DELIVERY": call.id}
        for name in [name for name in environ if name.startswith(("TAPDECK_HTTP", "TAPDECK_RELAY", "SIGNALWIRE_"))]:
            del environ[name]  # our secrets are none of its business (rule D9)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, env=environ, process_group=0, stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise HookFailed(f"cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._timeout_s):
                with suppress(ConnectionError):  # it need not read what it is told
                    await process.communicate(call.document)
                await process.wait()
        except TimeoutError:
            raise HookFailed(f"not done within {self._timeout_s:g} s") from None
        finally:
            if process.returncode is None:  # else its number may be somebody else's by now
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise HookFailed(f"exit status {process.returncode}")


def hooks_of(settings: Settings) -> list[Hook]:
    """What ``[[hook]]`` says. Raises `ConfigError` where a file of a secret cannot be read. Blocking."""
    return [_hook(number, each) for number, each in enumerate(settings.hook)]


def signature(key: bytes, call: Call) -> str:
    """What proves to a receiver that we said it, and when."""
    signed = b"%s.%d.%s" % (call.id.encode(), call.at_s, call.document)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _hook(number: int, hook: tables.Hook) -> Hook:
    if hook.url is None:
        name, shown = "\0".join(("command", *hook.command)), hook.command[0]
        return Hook(_digest(name), shown, Program(hook.command, hook.timeout_s))
    key = None if hook.secret_file is None else _key(f"hook[{number}].secret_file", Path(hook.secret_file))
    return Hook(_digest(f"url\0{hook.url}"), urlsplit(hook.url).hostname or "", Web(hook.url, key, hook.timeout_s))


def _digest(name: str) -> str:
    """A URL may hold a secret, and the ledger is read by people."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _key(where: str, file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            key = opened.read(LONGEST_KEY).strip()
        if key.startswith(ENCODED):
            key = base64.b64decode(key.removeprefix(ENCODED), validate=True)
    except OSError as error:
        raise ConfigError([f"{where}: expected a readable file, found {file} ({error.strerror})"]) from error
    except binascii.Error:
        raise ConfigError([f"{where}: expected base64 behind whsec_, found something else in {file}"]) from None
    if not key:
        raise ConfigError([f"{where}: expected a key, found nothing in {file}"])
    return key
