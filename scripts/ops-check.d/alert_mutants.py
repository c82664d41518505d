"""alert_mutants.py FOLDER PROMTOOL...: do the alerts' tests notice a broken alert?

For each alert in FOLDER/rules/alerts.yml, FOLDER/tests must fail once when the alert can never fire, and once when it
always does; and so must the alert's test from an empty start, without the others. A test that passes all the same tests
nothing.
"""

import itertools
import pathlib
import shutil
import subprocess
import sys
import tempfile

import yaml

# The first must pass, or the others prove nothing.
ALWAYS = "vector(1)"
MUTANTS = {"is as it should be": None, "never fires": "vector(1) < 0", "always fires": ALWAYS}
EMPTY_START = "empty_start_test.yml"
SUITES = {"its tests": lambda name: name != EMPTY_START, "its test from an empty start": lambda name: name == EMPTY_START}


def tests_pass(folder, promtool, name, expression, is_selected):
    """Whether the alert's own tests in the selected files pass with that expression in the place of its own."""
    # Inside of the checkout: promtool may run in a container that sees nothing else.
    with tempfile.TemporaryDirectory(dir=".data/tools") as copy:
        copy = pathlib.Path(copy)
        copy.chmod(0o755)
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        path = copy / "rules/alerts.yml"
        rules = yaml.safe_load(path.read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            if rule["alert"] == name and expression:
                rule["expr"] = expression
                rule.pop("for", None)
        path.write_text(yaml.safe_dump(rules))
        tests = sorted(str(test) for test in (copy / "tests").glob("*.yml") if is_selected(test.name))
        # The tests about it: their names begin with the alert's.
        run = subprocess.run([*promtool, "test", "rules", f"--run=^{name}:", *tests], capture_output=True)
        return run.returncode == 0


def main(folder, promtool):
    rules = yaml.safe_load((folder / "rules/alerts.yml").read_text())
    alerts = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    surviving = 0
    for name, mutant, suite in itertools.product(alerts, MUTANTS, SUITES):
        expression = MUTANTS[mutant]
        # A dead man's switch is meant to fire always.
        if expression == ALWAYS and alerts[name] == ALWAYS:
            continue
        if tests_pass(folder, promtool, name, expression, SUITES[suite]) != (expression is None):
            surviving += 1
            print(f"FAIL {name}: {suite} {'fail' if expression is None else 'pass'} when it {mutant}")
    if not surviving:
        print(f"ok the tests notice each of {len(alerts)} alerts when it never fires, and when it always does,"
              " also from an empty start")


main(pathlib.Path(sys.argv[1]), sys.argv[2:])
