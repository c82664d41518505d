#!/usr/bin/env bash
# Compares the running service with its OpenAPI document, for `make test-contract`: schemathesis
# sends valid and invalid requests as an admin, as a customer and without a valid token, and checks
# every response. It needs PyPI, so it is not a part of `make test`. with-services.sh runs this
# script and stops what it starts.
#
#   scripts/test-contract.sh [EXAMPLES]    per operation as an admin, 50 by default
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
examples=${1:-50}
fewer=$(((examples * 2 + 4) / 5))

install_schemathesis() {
  local requirements=scripts/contract/requirements.txt
  require_program python3 python3 python3
  find_or_install_venv ||
    die "Python can't make a virtual environment: install python3-venv (Debian, Ubuntu: apt-get install python3-venv)"
  cmp -s "$requirements" .data/contract/installed.txt && return
  log_progress "Installing schemathesis into .data/contract"
  rm -rf .data/contract
  python3 -m venv .data/contract
  "$PYTHON" -m pip install --quiet --requirement "$requirements" ||
    die "schemathesis can't be installed: is PyPI reachable?"
  cp "$requirements" .data/contract/installed.txt
}

start_service() {
  export ORDERLY_ENV=test
  export ORDERLY__DATABASE__URL=$ORDERLY_TEST_DATABASE_URL
  export ORDERLY__REDIS__URL=$ORDERLY_TEST_REDIS_URL
  ORDERLY__HTTP__PORT=$(find_free_port)
  ORDERLY__ADMIN__PORT=$(find_free_port)
  SANDBOX_GATEWAY_PORT=$(find_free_port)
  export ORDERLY__HTTP__PORT ORDERLY__ADMIN__PORT SANDBOX_GATEWAY_PORT
  export ORDERLY__PAYMENTS__GATEWAY_URL=http://127.0.0.1:$SANDBOX_GATEWAY_PORT
  export ORDERLY__AUTH__TOKEN_LIFETIME=1h # longer than this takes
  # All requests come from one address. A throttled request tests nothing, so 429 is a failure here
  # (schemathesis.toml).
  local class
  for class in READ WRITE REGISTER LOGIN LOGIN_ACCOUNT; do
    export "ORDERLY__RATE_LIMIT__${class}_PER_MINUTE=6000000" "ORDERLY__RATE_LIMIT__${class}_BURST=1000000"
  done
  export ORDERLY_CONTRACT_URL=http://127.0.0.1:$ORDERLY__HTTP__PORT
  "$BINARY" migrate
  "$BINARY" seed
  "$GATEWAY" serve >"$LOG" 2>&1 &
  "$BINARY" serve >>"$LOG" 2>&1 &
  local service=$! deadline=$((SECONDS + 60))
  until "$BINARY" healthcheck >/dev/null 2>&1; do
    if ! kill -0 "$service" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      die "the service did not become ready; $LOG ends with: $(tail -n 3 "$LOG")"
    fi
    sleep 0.1
  done
}

# log_in EMAIL PASSWORD: prints an access token, or one line about the failure.
log_in() {
  "$PYTHON" - "$@" <<'END'
import json, os, sys, urllib.request
email, password = sys.argv[1:]
body = json.dumps({"email": email, "password": password}).encode()
url = os.environ["ORDERLY_CONTRACT_URL"] + "/v1/sessions"
request = urllib.request.Request(url, body, {"content-type": "application/json"})
try:
    print(json.load(urllib.request.urlopen(request))["access_token"])
except (OSError, ValueError, KeyError) as error:
    sys.exit(f"error: the log-in as {email} failed: {error}")
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
build_binaries
start_service
# An assignment that fails ends the script. 401 is a valid response, so a run without a token would
# pass and test nothing.
admin=$(log_in admin@example.com orderly-demo-admin)
customer=$(log_in customer@example.com orderly-demo-customer)
failed=()
run_schemathesis admin "$admin" "$examples"
run_schemathesis customer "$customer" "$fewer"
run_schemathesis anonymous "no-token" "$fewer"
[ ${#failed[@]} = 0 ] || die "the service breaks its contract, as: ${failed[*]}; its log is $LOG"
log_progress "The service keeps its contract"
