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


def rule(what, broken):
    names = sorted(name for name, service in project["services"].items() if broken(name, service))
    if names:
        print(f"FAIL {what}: not {', '.join(names)}")
    else:
        print(f"ok {what}")


def limits(service):
    return service.get("deploy", {}).get("resources", {}).get("limits", {})


def said(service):
    """What `docker inspect` and `ps` show: each variable, and each word of a command."""
    yield from service.get("environment", {}).items()
    for words in (service.get("command"), service.get("entrypoint"), service.get("healthcheck", {}).get("test")):
        yield from (("", word) for word in words or [])


def secrets():
    """What is in the files of secrets: the whole of each, and each string in one of JSON."""
    for secret in project["secrets"].values():
        text = pathlib.Path(secret["file"]).read_text().strip()
        yield text
        if secret["file"].endswith(".json"):
            yield from json.loads(text).values()


def is_secret(variable):
    name, value = variable[0], variable[1] or ""
    named_so = re.search("PASSWORD|SIGNING_KEY|TOKEN", name) and not name.endswith("_FILE")
    return named_so or re.search(r"://[^/@\s]*:[^/@\s]+@", value) or any(secret in value for secret in secrets())


def mounted(name):
    return [volume for volume in project["services"][name].get("volumes", []) if volume["type"] == "bind"]


rule("every service has a read-only root", lambda _, it: not it.get("read_only"))
rule("every service has no capabilities", lambda _, it: it.get("cap_drop") != ["ALL"] or it.get("cap_add"))
rule("no service can gain privileges", lambda _, it: it.get("security_opt") != ["no-new-privileges:true"])
rule("no service is privileged, or on the host's network", lambda _, it: it.get("privileged") or it.get("network_mode"))
rule("every service has a limit on processors, memory and processes",
     lambda _, it: not {"cpus", "memory", "pids"} <= limits(it).keys())
rule("every service has a health check, or nothing to make one with",
     lambda name, it: name not in NO_SHELL | ONE_SHOT and "test" not in it.get("healthcheck", {}))
rule("every image has a tag that is not latest",
     lambda _, it: ":" not in it["image"].rpartition("/")[2] or it["image"].endswith(":latest"))
rule("every port is published on loopback",
     lambda _, it: any(port.get("host_ip") != "127.0.0.1" for port in it.get("ports", [])))
rule("every file is mounted read-only", lambda name, _: any(not volume.get("read_only") for volume in mounted(name)))
rule("no variable or argument is a secret, or has one in it", lambda _, it: any(map(is_secret, said(it))))
rule("only the service, its data and their exporters are on the network of the data",
     lambda name, it: "data" in it["networks"] and name not in {
         "migrate", "seed", "orderly-1", "orderly-2", "postgres", "redis", "postgres-exporter", "redis-exporter"})
