"""``examples/compose.yaml``: docker-compose reads it, and it fits the image, the settings and the job."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from receiver import settings
from receiver.settings import KEYS, Settings
from tests.tools import needs

pytestmark = [pytest.mark.all, needs("docker-compose", "yq")]

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "compose.yaml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ASKED = {"ADVERTISE": "203.0.113.5", "SIGNALWIRE_PROJECT_ID": "project"}
"""What it asks the operator for."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file's content."""
    done = subprocess.run(["yq", ".", str(FILE)], capture_output=True, text=True, check=True)
    content: dict[str, Any] = json.loads(done.stdout)
    return content


@pytest.fixture(scope="module")
def service(compose: dict[str, Any]) -> dict[str, Any]:
    """The one that records."""
    told: dict[str, Any] = compose["services"]["tapdeck"]
    return told


def seconds(text: str) -> int:
    """``40s``."""
    return int(text.removesuffix("s"))


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted → where."""
    return {source: target for source, target, *_ in (each.split(":") for each in service["volumes"])}


def test_docker_compose_takes_it_and_asks_for_what_only_the_operator_knows() -> None:
    command = ["docker-compose", "--file", str(FILE), "config", "--quiet"]
    assert subprocess.run(command, env=os.environ | ASKED, check=False).returncode == 0
    for name in ASKED:
        told = os.environ | {each: value for each, value in ASKED.items() if each != name}
        done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert name in done.stderr


def test_the_daemon_takes_its_variables_and_its_secrets(
    compose: dict[str, Any], service: dict[str, Any], tmp_path: Path
) -> None:
    given = {name: re.sub(r"\$\{(\w+).*\}", lambda asked: ASKED[asked[1]], value)
             for name, value in service["environment"].items()}  # fmt: skip
    known = KEYS.variables()
    secrets = {f"{variable}_FILE" for variable, key in known.items() if key in KEYS.secrets}
    assert set(given) <= set(known) | secrets
    for secret in service["secrets"]:
        (tmp_path / secret).write_text(f"the {secret}\n")
        assert compose["secrets"][secret]["file"].startswith("./secrets/")
    there = {name: value.replace("/run/secrets", str(tmp_path)) for name, value in given.items()}
    loaded = settings.load(None, there)
    assert (loaded.relay.token, loaded.http.token) == ("the relay_token", "the http_token")
    assert loaded.relay.on
    assert loaded.media.advertised == ASKED["ADVERTISE"]
    assert seconds(service["stop_grace_period"]) > loaded.daemon.stop_timeout_s
    assert service["ulimits"]["nofile"]["soft"] >= 2 * loaded.media.max_taps


def test_the_only_place_that_is_written_to_is_the_volume(service: dict[str, Any]) -> None:
    assert mounts(service) == {"recordings": Settings().storage.directory}
    assert f"\nVOLUME {Settings().storage.directory}\n" in DOCKERFILE
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service, "the image's own"


def test_ports_are_not_published_one_by_one(service: dict[str, Any]) -> None:
    assert service["network_mode"] == "host"
    assert "ports" not in service


def test_the_health_check_is_the_images(service: dict[str, Any]) -> None:
    found = re.search(r"^HEALTHCHECK (.*) CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found
    options = dict(re.findall(r"--([a-z-]+)=(\S+)", found[1]))
    told = service["healthcheck"]
    assert told["test"] == ["CMD", *json.loads(found[2])]
    assert {name.replace("-", "_"): value for name, value in options.items()} == {
        name: str(value) for name, value in told.items() if name != "test"
    }


def test_the_job_is_a_member_of_the_group_and_finds_what_it_needs(compose: dict[str, Any]) -> None:
    job = compose["services"]["job"]
    user, group = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
    assert job["group_add"] == [group]
    assert job["user"].partition(":")[0] != user
    there = mounts(job)
    assert there["recordings"] == Settings().storage.directory
    assert job["entrypoint"] == ["python3", there["./pick_up.py"], f"{there['recordings']}/ready", there["./taken"]]
    assert (FILE.parent / "pick_up.py").exists()
