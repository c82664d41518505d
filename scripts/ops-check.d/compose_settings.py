"""Do docker-compose.yml, the edge and the program go by the same times, limits and addresses?

    compose_settings.py services COMPOSE.json
    compose_settings.py settings COMPOSE.json SERVICE
    compose_settings.py check COMPOSE.json NGINX.conf REPLICA.json...

COMPOSE.json is what `docker compose config --format json` says. The first prints the services that run the program, the
second the variables that one of them gets, with its secrets and config/ where they are in the checkout. REPLICA.json is
what `orderly config --json` says with those of a replica.
"""

import json
import re
import sys

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def load(path):
    with open(path) as file:
        return json.load(file)


def parse_duration(text):
    """A duration of compose's (`1m0s`), nginx' (`500ms`) or the program's (`1m 15s`)."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def parse_size(text):
    """A size of nginx': `1m`."""
    return int(text[:-1]) * {"k": 1024, "m": 1024**2}[text[-1]]


def find_program_services(project):
    image = project["services"]["orderly-1"]["image"]
    return {name: it for name, it in project["services"].items() if it["image"] == image}


def list_settings(project, name):
    service = project["services"][name]
    mounted = {it["target"]: project["secrets"][it["source"]]["file"] for it in service.get("secrets", [])}
    # As the image sets them; what the service says wins.
    image = {"ORDERLY_ENV": "production", "ORDERLY_CONFIG_DIR": "config"}
    for variable, value in {**image, **service.get("environment", {})}.items():
        yield f"{variable}={mounted.get(value, value)}"


def find_directive(edge, name):
    found = re.findall(rf"^\s*{name} ([^;]+);", edge, re.MULTILINE)
    assert len(found) == 1, f"{name} is there {len(found)} times"
    return found[0]


def list_rules(project, edge, replicas):
    """What must hold, each with whether it does."""
    services = {name: it for name, it in find_program_services(project).items() if name.startswith("orderly-")}
    values = {entry["key"]: entry["value"] for entry in replicas[0]}
    at = {key: parse_duration(values[key]) for key in ("shutdown.grace_period", "http.keep_alive", "http.request_timeout")}
    named = sorted(f"{name}:{values['http.port']}" for name in services)
    networks = project["networks"]["edge"]["ipam"]["config"]
    addresses = {name: it["networks"]["edge"]["ipv4_address"] for name, it in services.items()}
    hosts = dict(re.split("[=:]", it, maxsplit=1) for it in project["services"]["edge"]["extra_hosts"])
    yield "all replicas have the same settings", all(it == replicas[0] for it in replicas) and len(replicas) == len(services)
    yield "rate_limit.replicas is how many there are", values["rate_limit.replicas"] == len(services)
    yield "rate_limit.trusted_proxies is the network of the edge", (
        values["rate_limit.trusted_proxies"] == [it["subnet"] for it in networks])
    yield "the listeners are reached from outside the container", values["http.bind"] == values["admin.bind"] == "0.0.0.0"
    yield "stop_grace_period is shutdown.grace_period", (
        all(parse_duration(it["stop_grace_period"]) == at["shutdown.grace_period"] for it in services.values()))
    yield "the edge sends to every replica, at its port", sorted(re.findall(r"^\s*server ([\w-]+:\d+)", edge, re.M)) == named
    yield "the edge knows the replicas' addresses", hosts == addresses
    yield "the edge lets go of an idle connection before http.keep_alive", (
        parse_duration(find_directive(edge, "keepalive_timeout")) < at["http.keep_alive"])
    yield "the edge waits for longer than http.request_timeout", (
        parse_duration(find_directive(edge, "proxy_read_timeout")) > at["http.request_timeout"])
    yield "the edge leaves it to the service to refuse a body (http.body_limit_bytes)", (
        parse_size(find_directive(edge, "client_max_body_size")) > values["http.body_limit_bytes"])


def check(project, edge, *replicas):
    for what, holds in list_rules(load(project), open(edge).read(), [load(path) for path in replicas]):
        print(f"{'ok' if holds else 'FAIL'} {what}")


if sys.argv[1] == "check":
    check(*sys.argv[2:])
elif sys.argv[1] == "settings":
    print(*list_settings(load(sys.argv[2]), sys.argv[3]), sep="\n")
else:
    print(*find_program_services(load(sys.argv[2])), sep="\n")
