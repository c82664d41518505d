"""inhibitions.py ALERTMANAGER_URL: is the cause told, and are its consequences kept quiet?"""

import json
import sys
import urllib.request

# What fires together, and what of it somebody is to be told.
CASES = [
    ("without Postgres, only that is told",
     [{"alertname": "PostgresDown"}, {"alertname": "ErrorSpike"}, {"alertname": "PaymentsLate"}],
     {"PostgresDown"}),
    ("without Redis, late events go without saying",
     [{"alertname": "RedisDown"}, {"alertname": "EventsLate"}, {"alertname": "PaymentsLate"}],
     {"RedisDown", "PaymentsLate"}),
    ("without any replica, errors and single replicas go without saying, other targets do not",
     [{"alertname": "ServiceDown"}, {"alertname": "ErrorBudgetBurnsFast", "slo": "availability"},
      {"alertname": "TargetDown", "job": "orderly"}, {"alertname": "TargetDown", "job": "redis"}],
     {"ServiceDown", "TargetDown redis"}),
    ("the fastest burn rate speaks for its objective, not for the other one",
     [{"alertname": "ErrorBudgetBurnsFast", "slo": "availability"}, {"alertname": "ErrorBudgetBurns", "slo": "availability"},
      {"alertname": "ErrorBudgetBurnsSlowly", "slo": "latency"}],
     {"ErrorBudgetBurnsFast availability", "ErrorBudgetBurnsSlowly latency"}),
    ("an alert without a cause is told",
     [{"alertname": "ErrorSpike"}, {"alertname": "EventsLate"}, {"alertname": "TargetDown", "job": "orderly"}],
     {"ErrorSpike", "EventsLate", "TargetDown orderly"}),
]


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(sys.argv[1] + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def name(labels):
    return " ".join([labels["alertname"], *(labels[key] for key in ("slo", "job") if key in labels)])


def told(number, alerts):
    # A label of its own keeps one case from the next; sources and targets are matched by the other labels, so what
    # fired for the last case must have ended.
    call("/api/v2/alerts", [{"labels": {**labels, "case": str(number)}} for labels in alerts])
    try:
        known = call(f'/api/v2/alerts?filter=case%3D%22{number}%22')
        return {name(alert["labels"]) for alert in known if not alert["status"]["inhibitedBy"]}
    finally:
        past = {"startsAt": "2000-01-01T00:00:00Z", "endsAt": "2000-01-01T00:00:01Z"}
        call("/api/v2/alerts", [{"labels": {**labels, "case": str(number)}, **past} for labels in alerts])


for number, (what, alerts, expected) in enumerate(CASES):
    got = told(number, alerts)
    print(f"ok {what}" if got == expected else f"FAIL {what}: expected {sorted(expected)}, got {sorted(got)}")
