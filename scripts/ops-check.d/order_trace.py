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
PATIENCE = 60


def call(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, {"content-type": "application/json", **headers}, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def until(what, condition):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except OSError:
            pass  # it is only starting
        time.sleep(0.2)
    print(f"FAIL {what}, within {PATIENCE} s")
    raise SystemExit(1)


def spans():
    """Every span in the debug exporter's text, with its parent, its name and the spans that it is linked to."""
    found = []
    text = open(SPANS, errors="replace").read()
    for block in re.split(r"\nSpan #\d+\n", text)[1:]:
        field = lambda name: re.search(rf"^ +{name} *: *(.*)$", block, re.MULTILINE)[1].strip()
        links = re.findall(r"-> Trace ID: (\w+)\s+-> ID: (\w+)", block)
        found.append({"trace": field("Trace ID"), "id": field("ID"), "parent": field("Parent ID"),
                      "name": field("Name"), "start": field("Start time"), "links": links})
    return found


def children(of, all_spans):
    inside = [span for span in all_spans if span["trace"] == of["trace"] and span["parent"] == of["id"]]
    return [span["name"] for span in sorted(inside, key=lambda span: span["start"])]


def order():
    """Buys something within a new trace; gives the trace's id and that of the span that stands for the caller."""
    login = {"email": "customer@example.com", "password": "orderly-demo-customer"}
    token = until("the service answers", lambda: call("POST", "/v1/sessions", login))["access_token"]
    product = call("GET", "/v1/products?limit=1")["items"][0]["id"]
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    placed = call("POST", "/v1/orders", {"lines": [{"product_id": product, "quantity": 1}]},
                  authorization=f"Bearer {token}", idempotency_key=trace, traceparent=f"00-{trace}-{caller}-01")
    path = f"/v1/orders/{placed['id']}"
    until("the order is paid", lambda: call("GET", path, authorization=f"Bearer {token}")["status"] == "paid")
    return trace, caller


def expect(what, condition, got):
    print(f"ok {what}" if condition else f"FAIL {what}: {got}")
    return condition


def in_order(wanted, names):
    rest = iter(names)
    return all(any(name.startswith(want) for name in rest) for want in wanted)


def main():
    trace, caller = order()
    request = until("the request's span arrives", lambda: next(
        (span for span in spans() if span["trace"] == trace and span["name"] == "POST /v1/orders"), None))
    linked = (trace, request["id"])
    payment = until("a payment's span that is linked to the request arrives", lambda: next(
        (span for span in spans() if linked in span["links"] and span["name"].startswith("payment")), None))
    everything = spans()
    statements = children(request, everything)
    calls = children(payment, everything)
    wanted = ["pool wait", "BEGIN", "INSERT idempotency_keys", "SELECT products", "INSERT orders", "COMMIT"]
    whole = [
        expect("the request goes on with its caller's trace", request["parent"] == caller, request),
        expect("within the request: a connection, and each statement to the commit", in_order(wanted, statements), statements),
        expect("the payment is linked to the request, and a trace of its own", payment["trace"] != trace, payment),
        expect("within the payment: the call of the gateway, and its commit", in_order(["POST /charges", "COMMIT"], calls), calls),
    ]
    raise SystemExit(not all(whole))


main()
