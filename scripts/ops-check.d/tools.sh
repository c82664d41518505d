# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# What the checks share: the three words they answer with, and tools that are installed into
# .data/tools when they are wanted. To be sourced; goes to the checkout's top folder.

# A command substitution ends with its first failure, like the script around it.
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
TOOLS=$PWD/.data/tools
PYTHON=$TOOLS/python/bin/python

report_ok() { printf 'ok %s\n' "$*"; }
report_failure() { printf 'FAIL %s\n' "$*"; }

# report_skipped WHAT TOOL HOW_TO_INSTALL
report_skipped() { printf 'SKIPPED %s (missing: %s; %s)\n' "$@"; }

# run_check WHAT COMMAND…: the command succeeds. What it says is shown if it does not.
run_check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    report_ok "$what"
  else
    report_failure "$what"
    printf '%s\n' "$output" | sed 's/^/  /'
  fi
}

# run_helper COMMAND…: a program that prints result lines of its own. One that ends early, or without
# a result, has checked nothing, and that is a failure.
run_helper() {
  local code=0 output
  output=$(mktemp)
  # pipefail: the exit code is that of the program.
  # shellcheck disable=SC2312
  "$@" | tee "$output" || code=$?
  if ! grep -qE '^(ok|FAIL|SKIPPED) ' "$output"; then
    report_failure "no result (exit code $code) from: $*"
  elif [ "$code" != 0 ] && ! grep -q '^FAIL ' "$output"; then
    report_failure "ended early, with exit code $code: $*"
  fi
  rm -f "$output"
}

# read_lines ARRAY COMMAND…: sets the array to the lines that the command prints; there must be at least
# one. `mapfile < <(command)` loses the exit code.
read_lines() {
  local output code=0
  output=$("${@:2}") || code=$?
  if [ "$code" != 0 ]; then
    report_failure "ended with exit code $code: ${*:2}"
    return 1
  elif [ -z "$output" ]; then
    report_failure "printed nothing: ${*:2}"
    return 1
  fi
  mapfile -t "$1" <<<"$output"
}

# require_rejection WHAT COMMAND…: a linter rejects a file with a fault. A linter that is silent when all
# is well is also silent when it does not work.
require_rejection() {
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then report_failure "$what accepts a file with a fault"; fi
}

# install_python_tool NAME==VERSION…: packages of PyPI, in a virtual environment of their own.
install_python_tool() {
  local package
  if ! [ -x "$PYTHON" ]; then
    python3 -m venv "$TOOLS/python" >/dev/null 2>&1 || return 1
  fi
  for package; do
    [ ! -e "$TOOLS/python/$package" ] || continue
    printf 'Installing %s into .data/tools\n' "$package"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check "$package" || return 1
    touch "$TOOLS/python/$package"
  done
}

# install_npm_tool NAME@VERSION: a package of npm, with no scripts of its own run.
install_npm_tool() {
  [ ! -e "$TOOLS/npm/$1" ] || return 0
  command -v npm >/dev/null || return 1
  printf 'Installing %s into .data/tools\n' "$1"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$TOOLS/npm" "$1" >/dev/null || return 1
  touch "$TOOLS/npm/$1"
}

# create_secrets FOLDER: a file for each secret that a deployment has, with a value that the program
# takes for a real one.
create_secrets() {
  mkdir "$1"
  printf 'postgres://orderly:secret@postgres:5432/orderly?sslmode=verify-full' >"$1/database-url"
  printf 'rediss://:secret@redis:6379/0' >"$1/redis-url"
  openssl genpkey -algorithm ed25519 -out "$1/signing-key"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 \
    -subj /CN=check -keyout "$1/key" -out "$1/database-ca" 2>/dev/null
  rm "$1/key"
  cp "$1/database-ca" "$1/redis-ca"
}
