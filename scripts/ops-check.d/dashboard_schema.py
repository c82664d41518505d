"""dashboard_schema.py FILE...: is each dashboard what Grafana's own types know, down to the last field?

The file is read into those types and written again; a field that is gone then is one that Grafana does not know. The
rest is what the types can't tell: panels that overlap, sources and links that lead nowhere, queries in no dashboard's
language.
"""

import json
import pathlib
import re
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

SOURCES = set(re.findall(r"^ +uid: (\S+)$", pathlib.Path(
    "observability/grafana/provisioning/datasources/datasources.yml").read_text(), re.MULTILINE))


def find_unknown_fields(before, after, path=""):
    """Every field of `before` that `after` lacks or has otherwise."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{path}.{key}"
            else:
                yield from find_unknown_fields(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after)):
            yield from find_unknown_fields(one, other, f"{path}[{index}]")
    elif before != after:
        yield f"{path} ({before!r} became {after!r})"


def find_overlaps(panels):
    occupied = {}
    for panel in panels:
        position = panel["gridPos"]
        for x in range(position["x"], position["x"] + position["w"]):
            for y in range(position["y"], position["y"] + position["h"]):
                if x >= 24 or (x, y) in occupied:
                    yield f"{panel['title']} lies over {occupied.get((x, y), 'the edge')}"
                    return
                occupied[x, y] = panel["title"]


def find_faults(dashboard, uids):
    yield from (f"unknown to Grafana: {field}" for field in find_unknown_fields(dashboard, json.loads(
        JSONEncoder().encode(Dashboard.from_json(dashboard)))))
    yield from find_overlaps(dashboard["panels"])
    yield from (f"a link to {link['url']}, which is no dashboard" for link in dashboard["links"]
                if link["url"].removeprefix("/d/") not in uids)
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(set(ids)) != len(ids):
        yield "two panels have one id"
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            continue
        if panel["datasource"]["uid"] not in SOURCES:
            yield f"{panel['title']}: no source {panel['datasource']['uid']}"
        if not panel.get("description"):
            yield f"{panel['title']}: it does not say what it shows"


assert SOURCES and sys.argv[1:], "no source or no dashboard to check"
register_default_plugins()
dashboards = {path: json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:]}
for path, dashboard in dashboards.items():
    found = list(find_faults(dashboard, {dashboard["uid"] for dashboard in dashboards.values()}))
    if not dashboard["panels"]:
        found.append("it has no panels")
    for fault in found:
        print(f"FAIL {path}: {fault}")
    if not found:
        print(f"ok {path}: {len(dashboard['panels'])} panels, each field known to Grafana")
