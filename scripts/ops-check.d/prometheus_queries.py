"""prometheus_queries.py FOLDER [--timeout SECONDS]: puts every query of every panel, rule and alert in the folder `observability`
to the Prometheus at $PROMETHEUS_URL, which watches the service under load.

A panel's query must have an answer. An alert's may have none, that is the good case, and a panel's `or vector(0)` hides
that its other side has none. So each selector in each of them is asked for by itself, with all that it says of labels: it
must find a series, or an alert never fires for a label's misspelt value. For as long as SECONDS it tries again: the
slowest rules are reckoned once a minute.
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import re
import time
import urllib.error
import urllib.parse
import urllib.request

VARIABLES = {"__rate_interval": "1m", "instance": ".*"}
STRING = r'"(?:\\.|[^"\\])*"'
# A selector is a name, perhaps with labels in braces. What looks like one and is none comes first: strings, ranges,
# grouping, functions, operators.
SELECTOR = re.compile(
    rf"{STRING}|\[[^\]]*\]|\b(?:\w+\s+)?(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\b\w+\s*\("
    rf'|\b(?:and|or|unless|bool|offset)\b|\b(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{{(?P<labels>(?:[^"}}]|{STRING})*)\}})?')
LABEL = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({STRING})")

# Series that a healthy run has none of, each with the reason. The service shows each of its series from its start.
OPTIONAL_SERIES = {
    "ALERTS": "no alert fires but Watchdog",
}


def query_api(base, path, **parameters):
    try:
        with urllib.request.urlopen(f"{base}{path}?{urllib.parse.urlencode(parameters)}", timeout=20) as response:
            return json.load(response)["data"], None
    except urllib.error.HTTPError as error:
        return None, json.load(error)["error"]
    except OSError as error:
        return None, str(error)


def find_fault(base, query):
    """What is wrong with the answer to a query; None if nothing."""
    data, error = query_api(base, "/api/v1/query", query=query)
    if error:
        return error
    if not data["result"]:
        return "no series"
    if all(math.isnan(float(series["value"][1])) for series in data["result"]):
        return "not a number in any series"
    return None


def list_panel_queries(path):
    stack = list(json.loads(path.read_text())["panels"])
    while stack:
        panel = stack.pop(0)
        stack += panel.get("panels", [])
        for target in panel.get("targets", []):
            query = re.sub(r"\$\{?(\w+)\}?", lambda name: VARIABLES[name[1]], target["expr"])
            yield f"{path.stem}, {panel['title']}", query


def list_selectors(expression):
    """What must each have a series for the expression to see all that it asks for: `a=~"x|y"` must find x, and y."""
    for found in SELECTOR.finditer(expression):
        if not found["name"] or found["name"] in OPTIONAL_SERIES:
            continue
        alternatives = []
        for label, operator, value in LABEL.findall(found["labels"] or ""):
            is_list = operator == "=~" and re.fullmatch(r'"[\w|-]+"', value)
            each = [f'{label}="{one}"' for one in value.strip('"').split("|")] if is_list else [f"{label}{operator}{value}"]
            alternatives.append(each)
        for labels in itertools.product(*alternatives):
            yield f"{found['name']}{{{','.join(labels)}}}"


def check(base, folder):
    """Every check, with what is wrong, by kind."""
    expressions = []
    for path in sorted(folder.glob("grafana/dashboards/*.json")):
        for where, query in list_panel_queries(path):
            expressions.append((where, query))
            yield f"panels of {path.stem}", f"{where}: {query}", find_fault(base, query)
    data, error = query_api(base, "/api/v1/rules")
    if error:
        yield "rules", "the list of rules", error
        return
    names = {rule["name"] for group in data["groups"] for rule in group["rules"]}
    for path in sorted(folder.glob("prometheus/rules/*.yml")):
        for name in re.findall(r"^ *- (?:alert|record): (\S+)", path.read_text(), re.MULTILINE):
            if name not in names:
                yield "rules", name, f"Prometheus has not read it from {path.name}"
    for rule in (rule for group in data["groups"] for rule in group["rules"]):
        problem = None if rule["health"] == "ok" else rule.get("lastError") or rule["health"]
        expressions.append((rule["name"], rule["query"]))
        yield "rules", rule["name"], problem
    # Each once, with the first that asks for it.
    wanted = {selector: where for where, query in reversed(expressions) for selector in list_selectors(query)}
    for selector, where in wanted.items():
        yield "selectors", f"{where}: {selector}", find_fault(base, selector)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--timeout", type=float, default=0)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.timeout
    while True:
        results = list(check(os.environ["PROMETHEUS_URL"], arguments.folder))
        faults = [(what, why) for _, what, why in results if why]
        # Nothing to ask for is no answer.
        for kind in ("panels", "rules", "selectors"):
            if not any(other.startswith(kind) for other, _, _ in results):
                faults.append((kind, f"there are no {kind}"))
        if not faults or time.monotonic() > deadline:
            break
        time.sleep(2)
    for what, why in faults:
        print(f"FAIL {what}: {why}")
    for kind in dict.fromkeys(kind for kind, _, _ in results):
        whys = [why for other, _, why in results if other == kind]
        if not any(whys):
            print(f"ok all {len(whys)} {kind} have an answer")
    raise SystemExit(bool(faults))


main()
