"""The floor plan is a test (design, section 4): who leans on whom, what a pure room may touch, how long a file is."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "receiver").rglob("*.py"))
MODULES = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in FILES}

ALL = frozenset({"*"})
# Room → the rooms of ours (or single modules of them) that it may lean on, beside itself.
OURS: dict[str, Set[str]] = {
    "origins": set(),
    "endpoints": set(),
    "forms": {"archive.names", "endpoints"},
    "settings": {"origins", "forms", "endpoints", "tables"},
    "tables": {"forms", "endpoints"},
    "socketpair": set(),
    "keys": set(),
    "link": {"socketpair", "keys"},
    "decoder": {"socketpair"},
    "crew": {"link", "socketpair", "keys"},
    "net": set(),
    "wire": set(),
    "media": {"wire"},
    "archive": {"media.block", "wire.g711"},  # the tables of the two laws: a G.711 file is made from samples
    "ledger": set(),
    "control": {"link", "ledger", "forms", "keys"},
    "api": {"control", "ledger", "watch", "archive.sidecar", "endpoints", "keys"},
    "watch": {"settings"},
    "worker": {"link", "socketpair", "keys", "decoder", "net", "wire", "media", "archive", "watch"},
    "importing": {"wire", "media", "archive", "worker.story"},
    "daemon": {
        "settings", "tables", "forms", "endpoints", "link", "socketpair", "keys", "crew", "net", "ledger", "control",
        "api", "watch", "archive",
    },
    "lab": ALL,
    "cli": ALL,
    "__main__": {"cli"},
    "": {"archive.check", "control"},  # receiver/__init__.py: the public names, loaded on first use
}
# Room → the packages of others that it may lean on, beside the standard library.
THEIRS: dict[str, Set[str]] = {
    "origins": set(),
    "endpoints": set(),
    "forms": {"msgspec"},
    "settings": {"msgspec"},
    "tables": {"msgspec"},
    "socketpair": set(),
    "keys": {"msgspec"},
    "link": {"msgspec"},
    "decoder": {"numpy", "msgspec", "av"},
    "crew": {"msgspec", "structlog"},
    "net": {"numpy"},
    "net.ports": set(),  # the control process's: no numpy
    "wire": {"numpy"},
    "wire.srtp": {"numpy", "pylibsrtp"},
    "media": {"numpy"},
    "archive": {"numpy", "soundfile", "msgspec"},
    "ledger": {"msgspec"},
    "control": {"aiohttp", "msgspec", "structlog"},
    "api": {"aiohttp", "msgspec", "structlog"},
    "watch": {"msgspec", "structlog", "prometheus_client"},
    "worker": {"numpy", "msgspec", "structlog"},
    "importing": {"numpy", "msgspec"},
    "daemon": {"aiohttp", "msgspec", "structlog"},
    "lab": ALL,
    "cli": ALL,
    "__main__": set(),
    "": set(),
}
# A pure room has no socket, clock, loop, log or disk: time comes in as an argument. This is all it may take.
PURE_ROOMS = ("wire", "media")
PURE = {
    "__future__", "abc", "bisect", "collections", "dataclasses", "enum", "functools", "ipaddress", "itertools", "math",
    "operator", "struct", "types", "typing", "zlib",
}  # fmt: skip
# Room → what of the standard library is somebody else's business.
NEVER = {
    "archive": {"asyncio", "http", "selectors", "socket", "ssl", "urllib"},  # network
    "control": {"pathlib", "shutil", "tempfile"},  # files
    "net": {"pathlib", "shutil", "tempfile", "logging"},
}

# Module → why it has no test file of its own. Everything else has tests/<same path>/test_<name>.py.
WITHOUT_MIRROR = {
    "": "names loaded on first use: test_import_time.py",
    "__main__": "one call, made by the processes of test_import_time.py and cli/test_init.py",
    "media.block": "one constant and a tuple of three",
    "media.datagrams": "a tuple of columns",
    "media.standing": "enumerations, told by columns",
}


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, dotted, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else str(node.module) for name in full)


def inside(name: str, allowed: Set[str]) -> bool:
    """Whether a dotted name is one of these, or within one."""
    return allowed == ALL or any(f"{name}.".startswith(f"{each}.") for each in allowed)


def room_of(module: str) -> tuple[str, str]:
    """``receiver.net.ports`` → ``net``, ``net.ports``; the package itself → "", ""."""
    path = module.removeprefix("receiver").removeprefix(".")
    return path.partition(".")[0], path


@pytest.mark.parametrize("module", MODULES)
def test_a_room_leans_only_on_what_the_plan_allows(module: str) -> None:
    room, path = room_of(module)
    assert room in OURS, f"{room} is not in the plan: say in receiver/__init__.py what it is for, then here"
    theirs = THEIRS.get(path, THEIRS[room])
    for name in imports(MODULES[module]):
        package, ours = name.partition(".")[0], room_of(name)[1]
        if package == "receiver":
            own = bool(room) and inside(ours, {room})
            assert own or not ours or inside(ours, OURS[room]), f"{module} may not lean on {name}"
        elif package in sys.stdlib_module_names:
            assert room not in PURE_ROOMS or package in PURE, f"{module} is pure and may not touch {name}"
            assert package not in NEVER.get(room, set()), f"{module} may not touch {name}"
        else:
            assert inside(package, theirs), f"{module} may not lean on {name}"


def test_nobody_but_the_commands_leans_on_the_lab() -> None:
    assert not [room for room, allowed in OURS.items() if "lab" in allowed]
    assert [room for room, allowed in OURS.items() if allowed == ALL] == ["lab", "cli"]


@pytest.mark.parametrize("module", MODULES)
def test_no_file_is_longer_than_350_lines(module: str) -> None:
    lines = len(MODULES[module].read_text().splitlines())
    assert lines <= 350, f"{module} has {lines}: which second job did it grow?"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_docstring(module: str) -> None:
    text = MODULES[module].read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{module} does not say what it is"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_mirror_among_the_tests(module: str) -> None:
    _, path = room_of(module)
    code = ast.parse(MODULES[module].read_text()).body
    if MODULES[module].name == "__init__.py":
        # A package's own file mostly only says what the room is; where it does more, it is tested like any other.
        does_something = any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) for node in code)
        mirror = ROOT / "tests" / path.replace(".", "/") / "test_init.py"
    else:
        does_something = True
        mirror = ROOT / "tests" / Path(*path.split(".")).parent / f"test_{path.rpartition('.')[2]}.py"
    if path in WITHOUT_MIRROR:
        assert not mirror.exists(), f"{path} has a mirror now: take it off the list"
    else:
        assert mirror.exists() or not does_something, f"{mirror.relative_to(ROOT)} is missing"


def test_a_module_without_a_mirror_exists() -> None:
    assert {room_of(module)[1] for module in MODULES} >= set(WITHOUT_MIRROR)


def loaded_by(names: list[str]) -> set[str]:
    """The modules that a fresh interpreter has after importing these, as far as they are ours or the worker's bane."""
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names!r}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_media_worker_never_sees_the_control_side() -> None:
    loaded = loaded_by([name for name in MODULES if room_of(name)[0] == "worker" or name == "receiver.cli.worker"])
    for name in (
        "aiohttp", "prometheus_client", "sqlite3", "receiver.control", "receiver.api", "receiver.ledger",
        "receiver.daemon", "av", "aiortc",  # the decoder's, which the worker knows the messages of
    ):  # fmt: skip
        assert not [each for each in loaded if inside(each, {name})], f"a worker loads {name}"


def test_the_control_process_never_sees_the_data_path() -> None:
    rooms = ("control", "api", "ledger", "link")
    loaded = loaded_by([name for name in MODULES if room_of(name)[0] in rooms or name == "receiver.net.ports"])
    for name in (
        "soundfile", "av", "receiver.decoder", "receiver.media", "receiver.wire", "receiver.net.slab",
        "receiver.worker",
    ):  # fmt: skip
        assert not [each for each in loaded if inside(each, {name})], f"the control process loads {name}"
