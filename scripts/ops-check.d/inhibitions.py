"""inhibitions.py ALERTMANAGER_URL: is the cause told, and are its consequences kept quiet?"""

import json
import sys
import time
import urllib.request

TIMEOUT = 20
# What fires together, and what of it somebody is to be told. Alertmanager takes alerts in at once and looks a moment
# later, one by one, at what they inhibit. So the cause stands last: when its consequence is quiet, all have been looked at.
CASES = [
    ("without Postgres, only that is told",
     [{"alertname": "ErrorSpike"}, {"alertname": "PaymentsDelayed"}, {"alertname": "ReplicaUnhealthy", "check": "postgres"},
      {"alertname": "PostgresDown"}],
     {"PostgresDown"}),
    ("without Redis, late events go without saying",
     [{"alertname": "EventsDelayed"}, {"alertname": "PaymentsDelayed"}, {"alertname": "RedisDown"}],
     {"RedisDown", "PaymentsDelayed"}),
    ("without any replica, errors and single replicas go without saying, other targets do not",
     [{"alertname": "ErrorBudgetBurnsFast", "slo": "availability"}, {"alertname": "TargetDown", "job": "orderly"},
      {"alertname": "TargetsMissing", "job": "orderly"}, {"alertname": "TargetsMissing", "job": "postgres"},
      {"alertname": "TargetDown", "job": "redis"}, {"alertname": "ServiceDown"}],
     {"ServiceDown", "TargetDown redis", "TargetsMissing postgres"}),
    ("the fastest burn rate speaks for its objective, not for the other one",
     [{"alertname": "ErrorBudgetBurnsSlowly", "slo": "latency"}, {"alertname": "ErrorBudgetBurns", "slo": "availability"},
      {"alertname": "ErrorBudgetBurnsFast", "slo": "availability"}],
     {"ErrorBudgetBurnsFast availability", "ErrorBudgetBurnsSlowly latency"}),
    ("an alert without a cause is told, beside one that has its own",
     [{"alertname": "ErrorSpike"}, {"alertname": "EventsDelayed"}, {"alertname": "TargetDown", "job": "orderly"},
      {"alertname": "ErrorBudgetBurnsSlowly", "slo": "latency"}, {"alertname": "ErrorBudgetBurns", "slo": "latency"}],
     {"ErrorSpike", "EventsDelayed", "TargetDown orderly", "ErrorBudgetBurns latency"}),
]


def send_request(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(sys.argv[1] + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        text = response.read()
    return json.loads(text) if text else None


def format_alert(labels):
    return " ".join([labels["alertname"], *(labels[key] for key in ("slo", "job") if key in labels)])


def list_uninhibited(case):
    alerts = send_request(f'/api/v2/alerts?filter=case%3D%22{case}%22')
    return {format_alert(alert["labels"]) for alert in alerts if not alert["status"]["inhibitedBy"]}


def run_case(case, alerts, expected):
    # A label of its own keeps one case from the next; sources and targets are matched by the other labels, so what
    # fired for the last case must have ended.
    alerts = [{"labels": {**labels, "case": str(case)}} for labels in alerts]
    send_request("/api/v2/alerts", alerts)
    deadline = time.monotonic() + TIMEOUT
    while (got := list_uninhibited(case)) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    resolved = {"startsAt": "2000-01-01T00:00:00Z", "endsAt": "2000-01-01T00:00:01Z"}
    send_request("/api/v2/alerts", [{**alert, **resolved} for alert in alerts])
    return got


for number, (what, alerts, expected) in enumerate(CASES):
    got = run_case(number, alerts, expected)
    print(f"ok {what}" if got == expected else f"FAIL {what}: expected {sorted(expected)}, got {sorted(got)}")
