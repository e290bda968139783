"""Every rule about packets and sources (A, B) has tests named after it: ``test_a7_comfort_noise_keeps_time``."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
RULES = [*(f"a{number}" for number in range(1, 19)), *(f"b{number}" for number in range(1, 7))]


def test_every_rule_of_packets_and_sources_has_a_test_named_after_it() -> None:
    found = (re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.M) for path in TESTS.rglob("test_*.py"))
    named = {rule for names in found for name in names for rule in re.findall(r"(?<=_)[ab]\d+(?=_)", name)}
    missing = [rule.upper() for rule in RULES if rule not in named]
    assert not missing, f"no test is named after {', '.join(missing)}"
    assert not (strange := sorted(named - set(RULES))), f"there is no rule {', '.join(strange)}"
