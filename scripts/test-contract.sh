#!/usr/bin/env bash
# Holds the running service to its own OpenAPI document, for `make test-contract`:
# schemathesis sends it what the document allows and what it does not, as an admin, as a
# customer and as nobody, and checks every answer. Needs PyPI, so it is not a part of
# `make test`. To be run by with-services.sh, which also ends what this starts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/lib/process.sh
. scripts/lib/process.sh
# shellcheck source=scripts/lib/build.sh
. scripts/lib/build.sh

PYTHON=.data/contract/bin/python
LOG=.data/contract/service.log

install_schemathesis() {
  local requirements=scripts/contract/requirements.txt
  require_program python3 python3 python3
  cmp -s "$requirements" .data/contract/installed.txt && return
  log_progress "Installing schemathesis into .data/contract"
  rm -rf .data/contract
  create_venv
  "$PYTHON" -m pip install --quiet --requirement "$requirements" ||
    die "schemathesis can't be installed: is PyPI reachable?"
  cp "$requirements" .data/contract/installed.txt
}

# Debian keeps the part of Python that makes one in a package of its own.
create_venv() {
  python3 -m venv .data/contract >/dev/null 2>&1 && return
  if can_use_apt; then install_with_apt python3-venv; fi || true
  python3 -m venv .data/contract >/dev/null 2>&1 ||
    die "Python can't make a virtual environment: install python3-venv (Debian, Ubuntu: apt-get install python3-venv)"
}

start_service() {
  export ORDERLY_ENV=test
  export ORDERLY__DATABASE__URL=$ORDERLY_TEST_DATABASE_URL
  export ORDERLY__REDIS__URL=$ORDERLY_TEST_REDIS_URL
  ORDERLY__HTTP__PORT=$(find_free_port)
  ORDERLY__ADMIN__PORT=$(find_free_port)
  ORDERLY__SANDBOX_GATEWAY__PORT=$(find_free_port)
  export ORDERLY__HTTP__PORT ORDERLY__ADMIN__PORT ORDERLY__SANDBOX_GATEWAY__PORT
  export ORDERLY__PAYMENTS__GATEWAY_URL=http://127.0.0.1:$ORDERLY__SANDBOX_GATEWAY__PORT
  export ORDERLY__AUTH__TOKEN_LIFETIME=1h # longer than this takes
  export ORDERLY_CONTRACT_URL=http://127.0.0.1:$ORDERLY__HTTP__PORT
  "$BINARY" migrate
  "$BINARY" seed
  "$BINARY" sandbox-gateway >"$LOG" 2>&1 &
  "$BINARY" serve >>"$LOG" 2>&1 &
  local service=$! deadline=$((SECONDS + 60))
  until "$BINARY" healthcheck >/dev/null 2>&1; do
    if ! kill -0 "$service" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      die "the service did not become ready; $LOG ends with: $(tail -n 3 "$LOG")"
    fi
    sleep 0.1
  done
}

log_in() { # EMAIL PASSWORD
  "$PYTHON" - "$@" <<'END'
import json, os, sys, urllib.request
email, password = sys.argv[1:]
body = json.dumps({"email": email, "password": password}).encode()
url = os.environ["ORDERLY_CONTRACT_URL"] + "/v1/sessions"
request = urllib.request.Request(url, body, {"content-type": "application/json"})
print(json.load(urllib.request.urlopen(request))["access_token"])
END
}

# run_schemathesis ROLE TOKEN EXAMPLES: schemathesis shows its progress itself. It keeps what
# it found in the folder that it runs in.
run_schemathesis() {
  log_progress "The contract, as $1"
  (
    export PYTHONPATH=$PWD/scripts/contract ORDERLY_CONTRACT_TOKEN=$2
    cd .data/contract
    bin/python -m schemathesis.cli --config-file "$PYTHONPATH/schemathesis.toml" \
      run "$ORDERLY_CONTRACT_URL/openapi.json" --max-examples "$3"
  ) || failed+=("$1")
}

require_rust
install_schemathesis
log_progress "Building"
build_binary
start_service
failed=()
run_schemathesis admin "$(log_in admin@example.com orderly-demo-admin)" 50
run_schemathesis customer "$(log_in customer@example.com orderly-demo-customer)" 20
run_schemathesis anonymous "no-token" 20
[ ${#failed[@]} = 0 ] || die "the service breaks its contract, as: ${failed[*]}; its log is $LOG"
log_progress "The service keeps its contract"
