"""alert_mutants.py FOLDER PROMTOOL...: do the alerts' tests notice a broken alert?

For each alert in FOLDER/rules/alerts.yml, FOLDER/tests must fail once when the alert can never fire, and once when it
always does. A test that passes all the same tests nothing.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

import yaml

# The first must pass, or the others prove nothing.
MUTANTS = {"is as it should be": None, "never fires": "vector(1) < 0", "always fires": "vector(1)"}


def tests_pass(folder, promtool, name, expression):
    """Whether the alert's own tests pass with that expression in the place of its own."""
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
        tests = sorted(map(str, (copy / "tests").glob("*.yml")))
        # The tests about it: their names begin with the alert's.
        run = subprocess.run([*promtool, "test", "rules", f"--run=^{name}:", *tests], capture_output=True)
        return run.returncode == 0


def main(folder, promtool):
    rules = yaml.safe_load((folder / "rules/alerts.yml").read_text())
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    surviving = 0
    for name in names:
        for mutant, expression in MUTANTS.items():
            if tests_pass(folder, promtool, name, expression) != (expression is None):
                surviving += 1
                print(f"FAIL {name}: its tests {'fail' if expression is None else 'pass'} when it {mutant}")
    if not surviving:
        print(f"ok the tests notice each of {len(names)} alerts when it never fires, and when it always does")


main(pathlib.Path(sys.argv[1]), sys.argv[2:])
