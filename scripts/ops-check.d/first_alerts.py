"""first_alerts.py: are the first failures of a service, missing targets and a lost database seen?

Asks the Prometheus at $PROMETHEUS_URL, which has just begun to scrape the service at $API_URL and nothing else. The
service's database is $DATABASE_URL.
"""

import concurrent.futures
import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

TIMEOUT = 90
FAILURES, GOOD = 600, 3000


def query(expression):
    url = f"{os.environ['PROMETHEUS_URL']}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return json.load(response)["data"]["result"]
    except OSError:
        return []  # Prometheus starts


def run_sql(statement):
    psql = os.path.join(os.environ["ORDERLY_TEST_POSTGRES_BIN"], "psql")
    # From another database: this one may accept no connection.
    url = os.environ["ORDERLY_TEST_DATABASE_URL"] if "DATABASE" in statement else os.environ["DATABASE_URL"]
    subprocess.run([psql, "--quiet", "--set", "ON_ERROR_STOP=1", url, "--command", statement], check=True,
                   stdout=subprocess.DEVNULL)


def get_status(path):
    try:
        with urllib.request.urlopen(os.environ["API_URL"] + path, timeout=20) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def send(paths, status):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        others = {found for found in pool.map(get_status, paths) if found != status}
    if others:
        raise SystemExit(f"FAIL the requests returned {sorted(others)} and not only {status}")


def expect(what, expression):
    """Waits until the expression has a result."""
    deadline = time.monotonic() + TIMEOUT
    while not (found := query(expression)):
        if time.monotonic() > deadline:
            raise SystemExit(f"FAIL {what}: {expression} has no result")
        time.sleep(0.5)
    print(f"ok {what}")
    return float(found[0]["value"][1])


def main():
    expect("the failures have a series before the first of them",
           'orderly_http_requests_total{endpoint="/v1/products/{id}",method="GET",status="500"} == 0')
    run_sql("ALTER TABLE products RENAME TO broken_products")
    send((f"/v1/products/{uuid.uuid4()}" for _ in range(FAILURES)), 500)
    run_sql("ALTER TABLE broken_products RENAME TO products")
    send(("/openapi.json" for _ in range(GOOD)), 200)
    expect("a burst of failures, the first of its series, burns the error budget",
           'ALERTS{alertname="ErrorBudgetBurnsFast",slo="availability",alertstate="firing"}')
    ratio = expect("the error ratio counts it", 'slo:sli_error:ratio_rate5m{slo="availability"} > 0.1')
    print(f"An error ratio of {ratio:.3f} for {FAILURES} failures beside {GOOD} good requests")

    for job in ("orderly", "postgres", "otel-collector"):
        expect(f"a missing target of {job} is about to be reported", f'ALERTS{{alertname="TargetsMissing",job="{job}"}}')
    expect("the dead man's switch fires", 'ALERTS{alertname="Watchdog",alertstate="firing"}')
    run_sql("ALTER DATABASE orderly ALLOW_CONNECTIONS false")
    run_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'orderly' /* DATABASE */")
    expect("a lost database is reported without an exporter", 'ALERTS{alertname="PostgresDown",alertstate="firing"}')


main()
