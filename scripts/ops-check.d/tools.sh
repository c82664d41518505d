# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# What the checks share: the three words they answer with, and tools that are installed into
# .data/tools when they are wanted. To be sourced; goes to the checkout's top folder.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
TOOLS=$PWD/.data/tools
PYTHON=$TOOLS/python/bin/python

ok() { printf 'ok %s\n' "$*"; }
fail() { printf 'FAIL %s\n' "$*"; }

# skipped WHAT TOOL HOW_TO_INSTALL
skipped() { printf 'SKIPPED %s (missing: %s; %s)\n' "$@"; }

# holds WHAT COMMAND…: the command succeeds. What it says is shown if it does not.
holds() {
  local what=$1 said
  shift
  if said=$("$@" 2>&1); then
    ok "$what"
  else
    fail "$what"
    printf '%s\n' "$said" | sed 's/^/  /'
  fi
}

# python_tool NAME==VERSION…: packages of PyPI, in a virtual environment of their own.
python_tool() {
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

# npm_tool NAME@VERSION: a package of npm, with no scripts of its own run.
npm_tool() {
  [ ! -e "$TOOLS/npm/$1" ] || return 0
  command -v npm >/dev/null || return 1
  printf 'Installing %s into .data/tools\n' "$1"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$TOOLS/npm" "$1" >/dev/null || return 1
  touch "$TOOLS/npm/$1"
}

# make_secrets FOLDER: a file for each secret that a deployment has, with a value that the program
# takes for a real one.
make_secrets() {
  mkdir "$1"
  printf 'postgres://orderly:secret@postgres:5432/orderly?sslmode=verify-full' >"$1/database-url"
  printf 'rediss://:secret@redis:6379/0' >"$1/redis-url"
  openssl genpkey -algorithm ed25519 -out "$1/signing-key"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 \
    -subj /CN=check -keyout "$1/key" -out "$1/database-ca" 2>/dev/null
  rm "$1/key"
  cp "$1/database-ca" "$1/redis-ca"
}
