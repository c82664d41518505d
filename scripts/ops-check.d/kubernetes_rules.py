"""What no schema sees: that the objects of one rendered overlay fit each other and the program.

    kubernetes_rules.py settings RENDERED.yaml
    kubernetes_rules.py check RENDERED.yaml CONFIG.json SECRET_TEMPLATE.yaml

The first prints the variables that the pods get. CONFIG.json is what `orderly config --json` says
with those in its environment. The template says what the Secret `orderly` has where the overlay
does not bring one.
"""

import json
import sys

import yaml

NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
# Without one of these, the rules about it hold for nothing.
KINDS = {"ConfigMap", "Deployment", "Job", "Namespace", "NetworkPolicy", "Service", "ServiceAccount"}
SECRETS = "/run/secrets/orderly/"
# max_connections is 100 unless told otherwise, and 3 of them are kept for the superuser.
POSTGRES_CONNECTIONS = 97
# Job notification listener, outbox relay and readiness probe each hold one apart from the pools.
DEDICATED_CONNECTIONS = 3


def parse_duration(text):
    """A duration as the program prints it: `1m`, `1m 30s`."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    total = 0
    for part in text.split():
        number = part.rstrip("hms")
        total += float(number) * units[part[len(number):]]
    return total


def load_objects(path):
    with open(path) as file:
        return [found for found in yaml.safe_load_all(file) if found]


class Overlay:
    def __init__(self, path, config, template):
        self.objects = load_objects(path)
        with open(config) as file:
            self.settings = {entry["key"]: entry["value"] for entry in json.load(file)}
        secret = (self.kind("Secret") or load_objects(template))[0]
        self.secret_keys = set(secret.get("data", secret.get("stringData")))
        self.label = path.rsplit("/", 1)[-1].removesuffix(".yaml")
        self.workloads = [it for it in self.objects if it["kind"] in ("Deployment", "Job")]

    def kind(self, *kinds):
        return [it for it in self.objects if it["kind"] in kinds]

    def api(self):
        return next(it for it in self.kind("Deployment") if it["metadata"]["name"] == "orderly")

    def select_pods(self, labels):
        """The pod templates that have these labels."""
        templates = (it["spec"]["template"] for it in self.workloads)
        return [it for it in templates if labels.items() <= it["metadata"].get("labels", {}).items()]


def kinds(overlay):
    """It has what a deployment needs."""
    for missing in sorted(KINDS - {it["kind"] for it in overlay.objects}):
        yield f"there is no {missing}"


def selectors(overlay):
    """Each selector finds a pod, and each port that is named is a port of that pod."""
    for found in overlay.kind("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec, name = found["spec"], f"{found['kind']} {found['metadata']['name']}"
        labels = spec.get("selector", spec.get("podSelector", {}))
        pods = overlay.select_pods(labels.get("matchLabels", {}) if found["kind"] != "Service" else labels)
        if not pods:
            yield f"{name} selects no pod: {labels}"
        ports = {
            port["name"] for pod in pods for container in pod["spec"]["containers"] for port in container.get("ports", [])
        }
        wanted = [port["targetPort"] for port in spec.get("ports", []) if found["kind"] == "Service"]
        wanted += [port["port"] for rule in spec.get("ingress", []) for port in rule.get("ports", [])]
        for port in wanted:
            if port not in ports:
                yield f"{name} names the port {port!r}, its pods have {sorted(ports)}"
    services = {it["metadata"]["name"]: it for it in overlay.kind("Service")}
    for found in overlay.kind("Ingress"):
        for rule in found["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                to = path["backend"]["service"]
                ports = [port["name"] for port in services.get(to["name"], {"spec": {"ports": []}})["spec"]["ports"]]
                if to["port"]["name"] not in ports:
                    yield f"Ingress {found['metadata']['name']}: no Service {to['name']} with port {to['port']['name']}"
    for found in overlay.kind("ServiceMonitor"):
        labels = found["spec"]["selector"]["matchLabels"]
        matching = [it for it in services.values() if labels.items() <= it["metadata"].get("labels", {}).items()]
        ports = [port["name"] for it in matching for port in it["spec"]["ports"]]
        if ports != [endpoint["port"] for endpoint in found["spec"]["endpoints"]]:
            yield f"ServiceMonitor {found['metadata']['name']} finds the ports {ports}"


def references(overlay):
    """What a pod refers to is there."""
    names = {(it["kind"], it["metadata"]["name"]) for it in overlay.objects}
    for workload in overlay.workloads:
        name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
        wanted = [("ServiceAccount", pod["serviceAccountName"])] if "serviceAccountName" in pod else []
        for container in pod["containers"]:
            wanted += [("ConfigMap", it["configMapRef"]["name"]) for it in container.get("envFrom", [])]
            mounted = {it["name"] for it in container.get("volumeMounts", [])}
            for volume in mounted ^ {it["name"] for it in pod.get("volumes", [])}:
                yield f"{name}: volume {volume} is either not there or not mounted"
        secrets = [it["secret"]["secretName"] for it in pod.get("volumes", []) if "secret" in it]
        # In production the Secret is not ours to make: its template says what it must have.
        wanted += [("Secret", it) for it in secrets if it != "orderly"]
        for reference in wanted:
            if reference not in names:
                yield f"{name} refers to {' '.join(reference)}, which is not there"
    for config in overlay.kind("ConfigMap"):
        for variable, value in config["data"].items():
            if value.startswith(SECRETS) and value.removeprefix(SECRETS) not in overlay.secret_keys:
                yield f"{variable}={value}, and the Secret has {sorted(overlay.secret_keys)}"


def restricted(overlay):
    """The pod security standard `restricted`, and what we ask beyond it."""
    for workload in overlay.workloads:
        name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
        context = pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{name} may run as root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name} has no seccomp profile"
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{name} gets a token for the Kubernetes API"
        if {"hostNetwork", "hostPID", "hostIPC"} & pod.keys() or any("hostPath" in it for it in pod.get("volumes", [])):
            yield f"{name} reaches into its node"
        for container in pod["containers"] + pod.get("initContainers", []):
            least = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            if container.get("securityContext") != least:
                yield f"{name}: container {container['name']} has the securityContext {container.get('securityContext')}"
            resources = container.get("resources", {})
            if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
                yield f"{name}: container {container['name']} asks for no CPU or memory, or has no limit of memory"


def program(overlay):
    """Ports, paths and times are those of the program with these settings."""
    settings, pod = overlay.settings, overlay.api()["spec"]["template"]["spec"]
    container = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if ports != {"http": settings["http.port"], "admin": settings["admin.port"]}:
        yield f"the pod's ports are {ports}, the program's {settings['http.port']} and {settings['admin.port']}"
    for listener in ("http", "admin"):
        if settings[f"{listener}.bind"] != "0.0.0.0":
            yield f"{listener}.bind is {settings[f'{listener}.bind']}: nothing outside the container reaches it"
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    expected = {"startup": "/startupz", "readiness": "/readyz", "liveness": "/livez"}
    if probes != {kind: {"path": path, "port": "admin"} for kind, path in expected.items()}:
        yield f"the probes ask {probes}"
    for kind in probes:
        if container[f"{kind}Probe"]["timeoutSeconds"] <= parse_duration(settings["health.timeout"]):
            yield f"the {kind} probe gives up before a check does (health.timeout)"
    if pod["terminationGracePeriodSeconds"] != parse_duration(settings["shutdown.grace_period"]):
        yield f"terminationGracePeriodSeconds is not shutdown.grace_period, {settings['shutdown.grace_period']}"
    for scaler in overlay.kind("HorizontalPodAutoscaler"):
        replicas = scaler["spec"]["maxReplicas"] + overlay.api()["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        each = settings["database.pool_size"] + settings["database.background_pool_size"] + DEDICATED_CONNECTIONS
        if replicas * each > POSTGRES_CONNECTIONS:
            yield f"{replicas} replicas with {each} connections each are more than {POSTGRES_CONNECTIONS}"
        if scaler["spec"]["minReplicas"] != settings["rate_limit.replicas"]:
            yield f"minReplicas is not rate_limit.replicas, {settings['rate_limit.replicas']}"


def apply_order(overlay):
    """`component!=api`, which is applied first, has the migration and all that it needs, and no API."""
    of_api = {
        (it["kind"], it["metadata"]["name"])
        for it in overlay.objects
        if it["metadata"].get("labels", {}).get(COMPONENT) == "api"
    }
    for kind in ("Namespace", "ServiceAccount", "ConfigMap", "Secret", "NetworkPolicy", "Job"):
        for misplaced in [it for it in of_api if it[0] == kind]:
            yield f"{' '.join(misplaced)} is needed by the migration, and comes with the API"
    for kind in ("Deployment", "HorizontalPodAutoscaler", "Ingress"):
        for it in overlay.kind(kind):
            own = it["spec"].get("template", it)["metadata"].get("labels", {}).get(NAME) == "orderly"
            if own and (kind, it["metadata"]["name"]) not in of_api:
                yield f"{kind} {it['metadata']['name']} comes before the migration"


def check(rendered, config, template):
    overlay = Overlay(rendered, config, template)
    for rule in (kinds, selectors, references, restricted, program, apply_order):
        broken = list(rule(overlay))
        for fault in broken:
            print(f"FAIL {overlay.label}: {fault}")
        if not broken:
            print(f"ok {overlay.label}: {rule.__doc__.strip().splitlines()[0]}")


def print_settings(rendered):
    for config in load_objects(rendered):
        if config["kind"] == "ConfigMap":
            for variable, value in config["data"].items():
                print(f"{variable}={value}")


{"check": check, "settings": print_settings}[sys.argv[1]](*sys.argv[2:])
