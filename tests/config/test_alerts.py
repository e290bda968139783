"""The example alerts: they speak of metrics that there are, fire when they should and else not, and say what to do."""

import re
import subprocess
from pathlib import Path

import pytest

from receiver import settings
from receiver.ledger.tally import OUTCOMES
from receiver.net.tick import GROUPS
from receiver.settings import Media
from receiver.watch.metrics import HELP
from tests.tools import needs

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "config" / "prometheus" / "alerts.yml"
TESTS = Path(__file__).with_name("alerts_test.yml")
TEXT = ALERTS.read_text()
RULES = {rule.partition("\n")[0].strip(): rule for rule in TEXT.split("- alert:")[1:]}


def test_every_metric_in_the_alerts_is_exported() -> None:
    named = set(re.findall(r"\btapdeck_[a-z_]+\b", TEXT))
    assert len(named) >= 7
    assert named <= set(HELP)
    assert set(re.findall(r'outcome="(\w+)"', TEXT)) <= set(OUTCOMES)


def test_every_metric_that_is_exported_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in HELP if f"`{name}" not in readme] == []


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do(alert: str) -> None:
    assert re.search(r"severity: (critical|warning) }", RULES[alert])
    assert re.search(r'summary: "[^"]*\{\{ \$labels\.instance \}\}', RULES[alert])
    assert re.search(r"action: >-\n {12}\S", RULES[alert])


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_has_a_case_in_which_it_fires(alert: str) -> None:
    assert f'alertname="{alert}", alertstate="firing"' in TESTS.read_text()


def test_the_alerts_name_keys_and_numbers_that_are_the_codes() -> None:
    keys = {f"{section}.{key}" for section, key in re.findall(r"\[(\w+)\]\.(\w+)", TEXT)}
    assert keys
    assert keys <= set(settings.TYPES)
    assert f"of {GROUPS * 1_000 // Media().tick_ms} slices a second" in RULES["TapdeckLateTicks"]
    assert f"{settings.CLOCK_RATE * 2} * 3600" in RULES["TapdeckStorageLow"]  # an hour of 16-bit samples


@pytest.mark.all
@needs("promtool")
@pytest.mark.parametrize("arguments", [("check", "rules", str(ALERTS)), ("test", "rules", str(TESTS))])
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@pytest.mark.all
@needs("promtool")
@pytest.mark.parametrize("alert", RULES)
def test_an_alert_that_never_fires_would_be_noticed(alert: str, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "prometheus"
    folder.mkdir(parents=True)
    never = r"expr: >-\n          vector(0) == 1 and on () (\1)\n        "
    mute = re.sub(r"expr: (?:>-\s+)?(.*?)\n {8}(?=for:|labels:)", never, RULES[alert], count=1, flags=re.DOTALL)
    (folder / ALERTS.name).write_text(TEXT.replace(RULES[alert], mute))
    (tmp_path / "tests" / "config").mkdir(parents=True)
    copy = tmp_path / "tests" / "config" / TESTS.name
    copy.write_text(TESTS.read_text())
    done = subprocess.run(["promtool", "test", "rules", str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.findall(r'exp: {.*alertname="(\w+)".*\n\s+got: nil', done.stdout + done.stderr) == [alert]
