"""What a first import loads, and what it does not: that is what makes it fast, on every machine.

No clock here: ``import receiver`` takes under 0.1 s and ``tapdeck --help`` under 0.3 s because none of these is loaded.
"""

import subprocess
import sys
from pathlib import Path

import pytest

import receiver

HEAVY = (
    "aiohttp", "aiortc", "asyncio", "av", "msgspec", "numpy", "prometheus_client", "pylibsrtp", "soundfile", "sqlite3",
    "ssl", "structlog",
)  # fmt: skip


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after this code."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stderr.split())


def test_import_receiver_loads_nothing_but_itself() -> None:
    loaded = loaded_after("import receiver")
    assert [name for name in loaded if name.startswith("receiver")] == ["receiver"]
    assert not loaded & {*HEAVY, "click"}


def test_help_loads_click_and_no_command() -> None:
    loaded = loaded_after(
        "from receiver.cli import main\ntry: main(['--help'])\nexcept SystemExit as end: assert end.code == 0"
    )
    ours = {name for name in loaded if name.startswith("receiver")}
    assert ours == {"receiver", "receiver.cli", "receiver.cli.commands"}
    assert not loaded & set(HEAVY)


def test_health_loads_a_socket_and_no_click(tmp_path: Path) -> None:
    """A container engine calls it every few seconds: about 30 ms more than the interpreter itself."""
    (tmp_path / "tapdeck.toml").write_text("[http]\nlisten = '127.0.0.1:1'\n")
    for option, value in {"--url": "http://127.0.0.1:1", "--config": f"{tmp_path}/tapdeck.toml"}.items():
        loaded = loaded_after(
            f"from receiver.cli import main\ntry: main(['health', {option!r}, {value!r}])\n"
            "except SystemExit as end: assert end.code == 69"
        )
        ours = {name for name in loaded if name.startswith("receiver")}
        assert ours == {"receiver", "receiver.cli", "receiver.cli.health", "receiver.endpoints"}
        assert not loaded & {*HEAVY, "click", "email", "http", "pathlib", "shutil"}
        assert ("tomllib" in loaded) == (option == "--config")


def test_settings_load_neither_arrays_nor_the_web() -> None:
    assert not loaded_after("import receiver.settings") & (set(HEAVY) - {"msgspec"})


def test_every_public_name_is_there_on_first_use() -> None:
    for name in receiver.__all__:
        assert getattr(receiver, name) is not None
    assert set(receiver.__all__) <= set(dir(receiver))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        receiver.nothing  # noqa: B018


def test_python_dash_m_receiver_is_tapdeck() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "receiver", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"tapdeck, version {receiver.__version__}\n"
