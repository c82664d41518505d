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


def lost(before, after, path=""):
    """Every field of `before` that `after` lacks or has otherwise."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                yield f"{path}.{key}"
            else:
                yield from lost(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}[{index}]")
    elif before != after:
        yield f"{path} ({before!r} became {after!r})"


def overlaps(panels):
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or (x, y) in taken:
                    yield f"{panel['title']} lies over {taken.get((x, y), 'the edge')}"
                    return
                taken[x, y] = panel["title"]


def faults(board, uids):
    yield from (f"unknown to Grafana: {field}" for field in lost(board, json.loads(
        JSONEncoder().encode(Dashboard.from_json(board)))))
    yield from overlaps(board["panels"])
    yield from (f"a link to {link['url']}, which is no dashboard" for link in board["links"]
                if link["url"].removeprefix("/d/") not in uids)
    ids = [panel["id"] for panel in board["panels"]]
    if len(set(ids)) != len(ids):
        yield "two panels have one id"
    for panel in board["panels"]:
        if panel["type"] == "row":
            continue
        if panel["datasource"]["uid"] not in SOURCES:
            yield f"{panel['title']}: no source {panel['datasource']['uid']}"
        if not panel.get("description"):
            yield f"{panel['title']}: it does not say what it shows"


register_default_plugins()
boards = {path: json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:]}
for path, board in boards.items():
    found = list(faults(board, {board["uid"] for board in boards.values()}))
    for fault in found:
        print(f"FAIL {path}: {fault}")
    if not found:
        print(f"ok {path}: {len(board['panels'])} panels, each field known to Grafana")
