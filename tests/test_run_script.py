"""``./run``: one environment, made once, from locks that name no host; and what it calls with it.

Python is played by a script of four lines here, so that nothing is fetched; `.ci/run` on a fresh machine is the proof
with a real one.
"""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.tools import PACKAGES, needs

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
# Plays the machine's python3 and, copied into the environment that it "makes", that one's python.
printf '%s | ALL=%s FULL=%s\\n' "$*" "${TAPDECK_TESTS_ALL:-}" "${TAPDECK_TESTS_FULL:-}" >>"$CALLS"
case "$*" in
*version_info*) case "$*" in *print*) echo python3.11-venv ;; *) exit "${TOO_OLD:-0}" ;; esac ;;
*ensurepip*) exit "${NO_ENSUREPIP:-0}" ;;
*"-m venv"*)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    for tool in tapdeck ruff mypy; do
        printf '#!/bin/sh\\necho "%s $*"\\n' "$tool" >"$3/bin/$tool"
        chmod +x "$3/bin/$tool"
    done
    ;;
*"-m pytest"*) exit "${FAILING_TESTS:-0}" ;;
*"--require-hashes"*) exit "${NO_NETWORK:-0}" ;;
esac
"""


class Tree:
    """A copy of what ``./run`` reads, with a Python that only writes down what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a tree"
        self.folder.mkdir()
        for name in ("run", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)
        tools = folder / "tools"
        tools.mkdir()
        for name, text in (("python3", PYTHON), ("shellcheck", "#!/bin/sh\n")):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        self._calls = folder / "calls"
        self._environment = {"PATH": f"{tools}:/usr/bin:/bin", "CALLS": str(self._calls)}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """``./run ARGUMENTS`` from another folder; forgets the calls before."""
        self._calls.write_text("")
        command, variables = [str(self.folder / "run"), *arguments], self._environment | environment
        return subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True)

    @property
    def calls(self) -> list[str]:
        """What Python was asked, in order."""
        return self._calls.read_text().splitlines()

    @property
    def made(self) -> bool:
        """Whether the last run made the environment."""
        return any("-m venv" in call for call in self.calls)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_the_environment_is_made_once_and_only_the_command_speaks_on_stdout(tree: Tree) -> None:
    first = tree.run("demo", "--seconds", "3", "--label", "a b")
    assert (first.returncode, first.stdout) == (0, "tapdeck demo --seconds 3 --label a b\n")
    assert tree.made
    assert all(line.startswith("run: ") for line in first.stderr.splitlines())
    steps = "\n".join(tree.calls)
    assert re.search(r"install .*--require-hashes -r .*/requirements\.lock\b", steps)
    assert re.search(r"install .*--no-index --no-deps --no-build-isolation -e ", steps)

    second = tree.run("tap", "list", "--json")
    assert (second.stdout, second.stderr) == ("tapdeck tap list --json\n", "")
    assert not tree.calls


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_it_is_made_again_when_what_it_follows_from_changes(tree: Tree, name: str) -> None:
    tree.run("demo")
    with (tree.folder / name).open("a") as file:
        file.write("# another\n")
    tree.run("demo")
    assert tree.made
    tree.run("demo")
    assert not tree.made


def test_it_is_made_again_when_the_tree_was_moved(tree: Tree) -> None:
    tree.run("demo")
    tree.folder = tree.folder.rename(tree.folder.with_name("moved"))
    tree.run("demo")
    assert tree.made


def test_the_one_for_the_tests_does_for_the_commands_too_but_not_the_other_way_round(tree: Tree) -> None:
    tree.run("demo")
    tree.run("test")
    assert tree.made
    assert any("requirements-dev.lock" in call for call in tree.calls)
    tree.run("demo")
    assert not tree.made


def test_one_that_was_broken_off_is_made_again(tree: Tree) -> None:
    assert tree.run("demo", NO_NETWORK="7").returncode != 0
    assert tree.run("demo").returncode == 0
    assert tree.made


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["test"], "-m pytest | ALL= FULL="),
        (["test", "tests/wire", "-k", "a5"], "-m pytest tests/wire -k a5 | ALL= FULL="),
        (["test", "--all", "-x"], "-m pytest -m not full -x | ALL=1 FULL="),
        (["test", "--full"], "-m pytest -m full or not full | ALL=1 FULL=1"),
    ],
)
def test_three_levels_of_tests(tree: Tree, arguments: list[str], call: str) -> None:
    tree.run("lint")
    tree.run(*arguments)
    assert tree.calls[-1] == call


def test_all_looks_at_the_style_and_at_the_tests_and_is_content_with_both_only(tree: Tree) -> None:
    tree.run("test")
    good = tree.run("test", "--all")
    assert good.stderr.splitlines() == ["run: ruff", "ruff check .", "run: mypy", "mypy ", "run: shellcheck"]
    assert good.returncode == 0
    assert tree.run("test", "--all", FAILING_TESTS="5").returncode == 5
    (tree.folder / ".venv" / "bin" / "ruff").write_text("#!/bin/sh\nexit 1\n")
    bad = tree.run("test", "--all")
    assert bad.returncode == 1
    assert "mypy " in bad.stderr
    assert tree.calls[-1].startswith("-m pytest")
    assert tree.run("lint").returncode == 1


def test_without_ensurepip_it_prints_the_one_line_to_type(tree: Tree) -> None:
    done = tree.run("demo", NO_ENSUREPIP="1")
    assert done.returncode == 1
    assert done.stderr.endswith("Type: sudo apt-get install -y python3-venv\n")
    assert not (tree.folder / ".venv").exists()


def test_without_a_python_that_is_new_enough_it_says_so(tree: Tree) -> None:
    done = tree.run("demo", TOO_OLD="1", TAPDECK_PYTHON="python3")
    assert done.returncode == 1
    assert "no Python 3.11 or newer found (looked for: python3)" in done.stderr


def test_alone_it_says_what_it_can_do(tree: Tree) -> None:
    done = tree.run()
    assert done.returncode == 2
    for word in ("./run demo", "./run test --all", "./run test --full", "./run ANYTHING"):
        assert word in done.stderr


def pins(name: str) -> dict[str, set[str]]:
    """Package → what is pinned, of one lock."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if not line.startswith("    --hash"):
            package, _, version = line.partition("==")
            found.setdefault(package.partition("[")[0], set()).add(version.removesuffix(" \\"))
    return found


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_holds_pins_and_hashes_and_nothing_else(name: str) -> None:
    pin = re.compile(r"[a-z0-9-]+(\[[a-z,]+\])?==[0-9a-z.]+( ; [a-z_]+ (<|>=|==|!=) '[A-Za-z0-9.]+'( and | or )?)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    for line in (ROOT / name).read_text().splitlines():
        assert pin.fullmatch(line) or digest.fullmatch(line), line


def test_the_lock_for_development_holds_all_of_the_other_in_the_same_versions() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_a_pin_keeps_its_extras() -> None:
    """Without them pip refuses the lock from the day on which a newer coverage is out (seen on 2026-11-25)."""
    assert re.search(r"^coverage\[toml\]==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)


def test_the_locks_hold_everything_that_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    asked = {"requirements.lock": groups["build"], "requirements-dev.lock": groups["dev"]}
    for lock, group in asked.items():
        named = [each for each in group + project["project"]["dependencies"] if isinstance(each, str)]
        assert {re.split(r"[\[>=<]", each)[0] for each in named} <= set(pins(lock)), lock


def test_ci_fetches_every_program_that_a_test_may_need() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    wanted = {package for packages in PACKAGES.values() for package in packages.split()}
    block = script[script.index("packages=(") : script.index("\n)")]
    assert wanted <= {line.split()[0] for line in block.splitlines()[1:]}
    assert script.rstrip().endswith('exec ./run test --all "$@"')


@needs("shellcheck")
def test_the_scripts_are_clean() -> None:
    scripts = [ROOT / "run", ROOT / ".ci" / "run", ROOT / "tests" / "sdk" / "install"]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert os.access(ROOT / "run", os.X_OK)
    assert os.access(ROOT / "tests" / "sdk" / "install", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert (ROOT / "run").read_text().startswith("#!/bin/sh\n")
