"""Hooks are called for real: a web server that checks the signature, programs that read, fail, hang and fork."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.control.hooks import Call, HookFailed
from receiver.daemon.calling import Program, Web, hooks_of, signature
from receiver.settings import ConfigError, Settings
from receiver.tables import Hook

CALL = Call("tapdeck-7", "tap.finished", b'{"event":"tap.finished"}', 1_790_000_000)


@asynccontextmanager
async def server(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The URL of a web server of the operator's."""
    app = web.Application()
    app.router.add_post("/hook", answer)
    made = TestServer(app)
    await made.start_server()
    try:
        yield str(made.make_url("/hook"))
    finally:
        await made.close()


async def test_a_web_server_gets_the_document_signed_so_that_it_can_be_checked() -> None:
    seen: list[tuple[bytes, dict[str, str]]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((await request.read(), {name.lower(): value for name, value in request.headers.items()}))
        return web.Response(status=204)

    async with server(answer) as url:
        await Web(url, b"key", 10)(CALL)
        await Web(url, None, 10)(CALL)
    (document, headers), (_, unsigned) = seen
    assert document == CALL.document
    assert headers["content-type"] == "application/json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + document
    expected = base64.b64encode(hmac.new(b"key", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert "webhook-signature" not in unsigned


def test_the_signature_is_that_of_the_standard() -> None:
    # The example of the specification of Standard Webhooks, made with the libraries of its authors.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    call = Call("msg_p5jXN8AQM9LWM0D4loKWxJek", "", b'{"test": 2432232314}', 1_614_265_330)
    assert signature(key, call) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
async def test_any_other_status_than_a_yes_is_a_no_and_no_redirect_is_followed(status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with server(answer) as url:
        with pytest.raises(HookFailed, match=f"HTTP status {status}"):
            await Web(url, None, 10)(CALL)


async def test_a_server_that_does_not_answer_or_is_not_there_is_a_no() -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with server(answer) as url:
        with pytest.raises(HookFailed, match=r"no answer within 0\.1 s"):
            await Web(url, None, 0.1)(CALL)
    with pytest.raises(HookFailed):
        await Web(url, None, 10)(CALL)


def program(folder: Path, text: str) -> tuple[str, ...]:
    """The words of a command that runs this Python."""
    file = folder / "job.py"
    file.write_text(text)
    return (sys.executable, str(file), str(folder / "out"))


async def test_a_program_gets_the_document_and_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TAPDECK_HTTP__TOKEN", "TAPDECK_RELAY__TOKEN_FILE", "SIGNALWIRE_API_TOKEN"):
        monkeypatch.setenv(name, "geheim")
    command = program(
        tmp_path,
        "import json, os, sys\nenviron = {k: v for k, v in os.environ.items() if 'TAPDECK' in k or v == 'geheim'}\n"
        "open(sys.argv[1], 'w').write(json.dumps([sys.stdin.read(), environ]))\n",
    )
    await Program(command, 30)(CALL)
    document, environ = json.loads((tmp_path / "out").read_text())
    assert document.encode() == CALL.document
    assert {"TAPDECK_EVENT": "tap.finished", "TAPDECK_DELIVERY": "tapdeck-7"}.items() <= environ.items()
    assert "geheim" not in environ.values()


async def test_a_program_need_not_read(tmp_path: Path) -> None:
    await Program(program(tmp_path, "import os; os.close(0)"), 30)(CALL._replace(document=b"x" * 1_000_000))


async def test_a_program_that_fails_or_is_not_there_is_a_no(tmp_path: Path) -> None:
    with pytest.raises(HookFailed, match="exit status 3"):
        await Program(program(tmp_path, "raise SystemExit(3)"), 30)(CALL)
    with pytest.raises(HookFailed, match="cannot be started: No such file"):
        await Program(("/nowhere/job",), 30)(CALL)


@pytest.mark.all
async def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    command = program(
        tmp_path,
        "import os, signal, sys\nchild = os.fork()\n"
        "if child: open(sys.argv[1], 'w').write(f'{os.getpid()} {child}')\nsignal.pause()\n",
    )
    calling = asyncio.ensure_future(Program(command, 1.5)(CALL))
    pids = [int(pid) for pid in (await asyncio.to_thread((tmp_path / "out").read_text)).split()]
    with pytest.raises(HookFailed, match=r"not done within 1\.5 s"):
        await calling
    async with asyncio.timeout(10):
        for pid in pids:
            while is_running(pid):
                await asyncio.to_thread(os.sched_yield)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie that its new parent has not looked at yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_call_that_is_broken_off_leaves_no_program(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    text = "import os, signal, sys\nopen(sys.argv[1], 'w').write(str(os.getpid()))\nsignal.pause()"
    command = program(tmp_path, text)
    calling = asyncio.ensure_future(Program(command, 30)(CALL))
    pid = int(await asyncio.to_thread((tmp_path / "out").read_text))
    calling.cancel()
    await asyncio.wait([calling])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_what_is_configured_is_called_by_a_name_that_stays_and_hides_the_url(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"key\n")
    url = Hook(url="https://x.example/geheim", secret_file=str(tmp_path / "key"))
    settings = Settings(hook=(url, Hook(command=("job", "-x"))))
    hooks, again = hooks_of(settings), hooks_of(settings)
    assert [hook.name for hook in hooks] == [hook.name for hook in again]
    assert [hook.shown for hook in hooks] == ["x.example", "job"]
    assert "geheim" not in str([hook[:2] for hook in hooks])


@pytest.mark.parametrize(("content", "key"), [(b"key\n", b"key"), (b"whsec_a2V5\n", b"key")])
def test_a_key_is_read_from_its_file(tmp_path: Path, content: bytes, key: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    (hook,) = hooks_of(Settings(hook=(Hook(url="https://x", secret_file=str(tmp_path / "key")),)))
    assert isinstance(hook.call, Web)
    assert hook.call._key == key


@pytest.mark.parametrize("content", [None, b"", b"\n", b"whsec_", b"whsec_%%%"])
def test_a_key_that_is_none_stops_the_start_and_is_not_shown(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"hook\[0\]\.secret_file: expected") as caught:
        hooks_of(Settings(hook=(Hook(url="https://x", secret_file=str(tmp_path / "key")),)))
    assert "%%%" not in str(caught.value)
