"""queries.py FOLDER [--patience SECONDS]: puts every query of every panel, rule and alert in the folder `observability`
to the Prometheus at $PROMETHEUS_URL, which watches the service under load.

A panel's query must have an answer. An alert's may have none, that is the good case, but every metric that it names must
have a series. For as long as SECONDS it tries again: the slowest rules are reckoned once a minute.
"""

import argparse
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
# What stands in an expression and is no metric: grouping, selectors, strings, ranges, functions, operators.
NO_METRIC = [r'"[^"]*"', r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", r"\{[^}]*\}", r"\[[^\]]*\]"]
OPERATORS = {"and", "or", "unless", "bool", "offset"}


def ask(base, path, **parameters):
    try:
        with urllib.request.urlopen(f"{base}{path}?{urllib.parse.urlencode(parameters)}", timeout=20) as answer:
            return json.load(answer)["data"], None
    except urllib.error.HTTPError as error:
        return None, json.load(error)["error"]
    except OSError as error:
        return None, str(error)


def fault(base, query):
    """What is wrong with the answer to a query; None if nothing."""
    data, error = ask(base, "/api/v1/query", query=query)
    if error:
        return error
    if not data["result"]:
        return "no series"
    if all(math.isnan(float(series["value"][1])) for series in data["result"]):
        return "not a number in any series"
    return None


def panels(path):
    stack = list(json.loads(path.read_text())["panels"])
    while stack:
        panel = stack.pop(0)
        stack += panel.get("panels", [])
        for target in panel.get("targets", []):
            query = re.sub(r"\$\{?(\w+)\}?", lambda name: VARIABLES[name[1]], target["expr"])
            yield f"{path.stem}, {panel['title']}", query


def metrics(expression):
    for pattern in NO_METRIC:
        expression = re.sub(pattern, " ", expression)
    names = re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", expression)
    return sorted(set(names) - OPERATORS)


def check(base, folder):
    """Every check, with what is wrong, by kind."""
    for path in sorted(folder.glob("grafana/dashboards/*.json")):
        for where, query in panels(path):
            yield f"panels of {path.stem}", f"{where}: {query}", fault(base, query)
    data, error = ask(base, "/api/v1/rules")
    if error:
        yield "rules", "the list of rules", error
        return
    for rule in (rule for group in data["groups"] for rule in group["rules"]):
        ill = None if rule["health"] == "ok" else rule.get("lastError") or rule["health"]
        yield "rules", rule["name"], ill
        if rule["type"] == "alerting":
            for metric in metrics(rule["query"]):
                yield "metrics of alerts", f"{rule['name']}: {metric}", fault(base, metric)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--patience", type=float, default=0)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.patience
    while True:
        results = list(check(os.environ["PROMETHEUS_URL"], arguments.folder))
        faults = [(what, why) for _, what, why in results if why]
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
