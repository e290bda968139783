"""Where a setting's value comes from.

Five origins, in falling rank: flags, environment (``TAPDECK_STORAGE__DIRECTORY``), files of secrets
(``TAPDECK_HTTP__TOKEN_FILE``, ``$CREDENTIALS_DIRECTORY/http.token``), the TOML file, defaults. This file finds values
and says where; what they must look like is the business of ``settings``. Nothing here is raised before everything was
read: an operator hears of all mistakes at once. A secret's value is never part of a message (rule D9).
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

PREFIX = "TAPDECK_"
NAMES_OF_OTHERS = {
    "SIGNALWIRE_PROJECT_ID": "relay.project",
    "SIGNALWIRE_API_TOKEN": "relay.token",
    "SIGNALWIRE_SPACE": "relay.host",
}
LONGEST_SECRET = 65_536
"""Octets; a file of a secret that is longer is the wrong file."""


class ConfigError(Exception):
    """The configuration cannot be used (exit 78). ``problems``: one line each, with the key's path."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Found(NamedTuple):
    """A value as it was found. ``text``: it came as text and still has to be read as what the key holds."""

    value: object
    origin: str
    text: bool = False


@dataclass(frozen=True)
class Keys:
    """The keys there are: ``names`` dotted (``media.tick_ms``), ``tables`` the arrays of tables (``hook``)."""

    names: frozenset[str]
    tables: frozenset[str]
    secrets: frozenset[str]

    def variables(self) -> dict[str, str]:
        """Environment variable → key."""
        return {PREFIX + name.upper().replace(".", "__"): name for name in self.names}

    def unknown(self, name: str) -> str:
        """A sentence for a key that there is not, with the one that was probably meant."""
        sections = {known.partition(".")[0] for known in self.names}
        elsewhere = sorted(known for known in self.names if known.endswith("." + name.rpartition(".")[2]))
        guess = elsewhere or get_close_matches(name, sorted(self.names | self.tables | sections), n=1)
        return "no such key" + (f"; did you mean {guess[0]}?" if guess else "")


@dataclass
class Gathering:
    """What was found, highest rank first come; what was wrong on the way."""

    keys: Keys
    found: dict[str, Found] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, name: str, found: Found) -> None:
        """Keep the value, unless an origin of higher rank (asked earlier) gave one."""
        self.found.setdefault(name, found)


def gather(
    keys: Keys, path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]
) -> Gathering:
    """Ask all origins in falling rank. ``flags``: dotted key → value; None is a flag that was not given."""
    gathering = Gathering(keys)
    for name, value in flags.items():
        if name not in keys.names:
            gathering.problems.append(f"{name}: {keys.unknown(name)} (flag)")
        elif value is not None:
            gathering.take(name, Found(value, "flag", text=isinstance(value, str)))
    _from_environment(gathering, environ)
    _from_secret_files(gathering, environ)
    if path is not None:
        _from_file(gathering, path)
    return gathering


def _from_environment(gathering: Gathering, environ: Mapping[str, str]) -> None:
    variables = gathering.keys.variables()
    files = {f"{variable}_FILE" for variable, name in variables.items() if name in gathering.keys.secrets}
    flattened = {variable.replace("__", "_"): variable for variable in variables}
    for variable in sorted(environ):
        if variable in variables:
            gathering.take(variables[variable], Found(environ[variable], f"environment {variable}", text=True))
        elif variable in files or not variable.startswith(PREFIX):
            continue
        elif variable in flattened:
            gathering.problems.append(f"{variable}: not read; did you mean {flattened[variable]} (two underscores)?")
        elif "__" in variable:
            name = variable.removeprefix(PREFIX).lower().replace("__", ".", 1)
            gathering.problems.append(f"{name}: {gathering.keys.unknown(name)} (environment {variable})")
    for variable, name in NAMES_OF_OTHERS.items():
        if environ.get(variable):
            gathering.take(name, Found(environ[variable], f"environment {variable}", text=True))


def _from_secret_files(gathering: Gathering, environ: Mapping[str, str]) -> None:
    """First the files that a variable names, then systemd's credentials, named like the key (``http.token``)."""
    places = [(f"{variable}_FILE", name) for variable, name in gathering.keys.variables().items()]
    places += [(f"{variable}_FILE", name) for variable, name in NAMES_OF_OTHERS.items()]
    for variable, name in places:
        if name not in gathering.keys.secrets or not environ.get(variable):
            continue
        _from_secret_file(gathering, name, Path(environ[variable]), variable)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for name in sorted(gathering.keys.secrets) if folder else ():
        path = Path(str(folder), name)
        if path.exists():
            _from_secret_file(gathering, name, path, "CREDENTIALS_DIRECTORY")


def _from_secret_file(gathering: Gathering, name: str, path: Path, variable: str) -> None:
    if name in gathering.found:
        return
    try:
        with path.open("rb") as file:
            octets = file.read(LONGEST_SECRET + 1)
        text = octets.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        gathering.problems.append(f"{name}: expected a readable file of a secret, found {path}: {why} ({variable})")
        return
    if not text or len(octets) > LONGEST_SECRET:
        found = "an empty one" if not text else f"more than {LONGEST_SECRET} octets"
        gathering.problems.append(f"{name}: expected a file that holds a secret, found {found}: {path} ({variable})")
        return
    gathering.take(name, Found(text, f"file {path} ({variable})", text=True))


def _from_file(gathering: Gathering, path: Path) -> None:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        gathering.problems.append(f"{path}: cannot be read: {error.strerror}")
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        gathering.problems.append(f"{path}: not a TOML file: {error}")
        return
    keys, origin = gathering.keys, f"file {path}"
    sections = {name.partition(".")[0] for name in keys.names}
    for section, content in document.items():
        if section in keys.tables:
            gathering.take(section, Found(content, origin))
        elif section not in sections:
            gathering.problems.append(f"{section}: {keys.unknown(section)} ({origin})")
        elif not isinstance(content, dict):
            gathering.problems.append(f"{section}: expected a table, found {type(content).__name__} ({origin})")
        else:
            for leaf, value in content.items():
                name = f"{section}.{leaf}"
                if name in keys.names:
                    gathering.take(name, Found(value, origin))
                else:
                    gathering.problems.append(f"{name}: {keys.unknown(name)} ({origin})")
