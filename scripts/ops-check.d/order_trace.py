"""order_trace.py: places an order at $API_URL within a trace of its own, and finds that trace whole in what the collector
wrote down in $SPANS: the request, the wait for a connection, each statement to the commit; and linked to it the payment,
with the call of the gateway.
"""

import json
import os
import re
import secrets
import time
import urllib.request

API, SPANS = os.environ["API_URL"], os.environ["SPANS"]
TIMEOUT = 60


def send_request(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, {"content-type": "application/json", **headers}, method=method)
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def wait_for(what, condition):
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except OSError:
            pass  # it is only starting
        time.sleep(0.2)
    print(f"FAIL {what}, within {TIMEOUT} s")
    raise SystemExit(1)


def read_spans():
    """Every span in the debug exporter's text, with its parent, its name and the spans that it is linked to."""
    found = []
    text = open(SPANS, errors="replace").read()
    for block in re.split(r"\nSpan #\d+\n", text)[1:]:
        field = lambda name: re.search(rf"^ +{name} *: *(.*)$", block, re.MULTILINE)[1].strip()
        links = re.findall(r"-> Trace ID: (\w+)\s+-> ID: (\w+)", block)
        found.append({"trace": field("Trace ID"), "id": field("ID"), "parent": field("Parent ID"),
                      "name": field("Name"), "start": field("Start time"), "links": links})
    return found


def child_names(of, all_spans):
    inside = [span for span in all_spans if span["trace"] == of["trace"] and span["parent"] == of["id"]]
    return [span["name"] for span in sorted(inside, key=lambda span: span["start"])]


def place_order():
    """Buys something within a new trace; gives the trace's id and that of the span that stands for the caller."""
    login = {"email": "customer@example.com", "password": "orderly-demo-customer"}
    token = wait_for("the service answers", lambda: send_request("POST", "/v1/sessions", login))["access_token"]
    product = send_request("GET", "/v1/products?limit=1")["items"][0]["id"]
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    placed = send_request("POST", "/v1/orders", {"lines": [{"product_id": product, "quantity": 1}]},
                  authorization=f"Bearer {token}", idempotency_key=trace, traceparent=f"00-{trace}-{caller}-01")
    path = f"/v1/orders/{placed['id']}"
    wait_for("the order is paid", lambda: send_request("GET", path, authorization=f"Bearer {token}")["status"] == "paid")
    return trace, caller


def check(what, condition, got):
    print(f"ok {what}" if condition else f"FAIL {what}: {got}")
    return condition


def is_in_order(wanted, names):
    rest = iter(names)
    return all(any(name.startswith(want) for name in rest) for want in wanted)


def main():
    trace, caller = place_order()
    request = wait_for("the request's span arrives", lambda: next(
        (span for span in read_spans() if span["trace"] == trace and span["name"] == "POST /v1/orders"), None))
    linked = (trace, request["id"])
    payment = wait_for("a payment's span that is linked to the request arrives", lambda: next(
        (span for span in read_spans() if linked in span["links"] and span["name"].startswith("payment")), None))
    all_spans = read_spans()
    statements = child_names(request, all_spans)
    calls = child_names(payment, all_spans)
    wanted = ["pool wait", "BEGIN", "INSERT idempotency_keys", "SELECT products", "INSERT orders", "COMMIT"]
    results = [
        check("the request goes on with its caller's trace", request["parent"] == caller, request),
        check("within the request: a connection, and each statement to the commit", is_in_order(wanted, statements), statements),
        check("the payment is linked to the request, and a trace of its own", payment["trace"] != trace, payment),
        check("within the payment: the call of the gateway, and its commit", is_in_order(["POST /charges", "COMMIT"], calls), calls),
    ]
    raise SystemExit(not all(results))


main()
