"""compose_rules.py COMPOSE.json: what docker-compose.yml says of itself holds for each service. The file is what `docker
compose config --format json` says."""

import json
import pathlib
import re
import sys

# Programs alone in their images: nothing in there could ask after their health.
NO_SHELL = {"otel-collector", "redis-exporter"}
ONE_SHOT = {"migrate", "seed"}

project = json.loads(pathlib.Path(sys.argv[1]).read_text())
# Every rule holds for no service at all.
assert {"orderly-1", "orderly-2", "postgres", "redis", "edge"} <= project["services"].keys(), sorted(project["services"])
assert project["secrets"], "there are no secrets to look for"


def check_rule(what, is_broken):
    names = sorted(name for name, service in project["services"].items() if is_broken(name, service))
    if names:
        print(f"FAIL {what}: not {', '.join(names)}")
    else:
        print(f"ok {what}")


def resource_limits(service):
    return service.get("deploy", {}).get("resources", {}).get("limits", {})


def visible_values(service):
    """What `docker inspect` and `ps` show: each variable, and each word of a command."""
    yield from service.get("environment", {}).items()
    for words in (service.get("command"), service.get("entrypoint"), service.get("healthcheck", {}).get("test")):
        yield from (("", word) for word in words or [])


def secret_values():
    """What is in the files of secrets: the whole of each, and each string in one of JSON."""
    for secret in project["secrets"].values():
        text = pathlib.Path(secret["file"]).read_text().strip()
        yield text
        if secret["file"].endswith(".json"):
            yield from json.loads(text).values()


def is_secret(variable):
    name, value = variable[0], variable[1] or ""
    has_secret_name = re.search("PASSWORD|SIGNING_KEY|TOKEN", name) and not name.endswith("_FILE")
    return has_secret_name or re.search(r"://[^/@\s]*:[^/@\s]+@", value) or any(secret in value for secret in secret_values())


def bind_mounts(name):
    return [volume for volume in project["services"][name].get("volumes", []) if volume["type"] == "bind"]


check_rule("every service has a read-only root", lambda _, it: not it.get("read_only"))
check_rule("every service has no capabilities", lambda _, it: it.get("cap_drop") != ["ALL"] or it.get("cap_add"))
check_rule("no service can gain privileges", lambda _, it: it.get("security_opt") != ["no-new-privileges:true"])
check_rule("no service is privileged, or on the host's network", lambda _, it: it.get("privileged") or it.get("network_mode"))
check_rule("every service has a limit on processors, memory and processes",
           lambda _, it: not {"cpus", "memory", "pids"} <= resource_limits(it).keys())
check_rule("every service has a health check, or nothing to make one with",
           lambda name, it: name not in NO_SHELL | ONE_SHOT and "test" not in it.get("healthcheck", {}))
check_rule("every image has a tag that is not latest",
           lambda _, it: ":" not in it["image"].rpartition("/")[2] or it["image"].endswith(":latest"))
check_rule("every port is published on loopback",
           lambda _, it: any(port.get("host_ip") != "127.0.0.1" for port in it.get("ports", [])))
check_rule("every file is mounted read-only", lambda name, _: any(not volume.get("read_only") for volume in bind_mounts(name)))
check_rule("no variable or argument is a secret, or has one in it", lambda _, it: any(map(is_secret, visible_values(it))))
check_rule("only the service, its data and their exporters are on the network of the data",
           lambda name, it: "data" in it["networks"] and name not in {
               "migrate", "seed", "orderly-1", "orderly-2", "postgres", "redis", "postgres-exporter", "redis-exporter"})
