#!/usr/bin/env bash
# Migrations: squawk reads each for locks that stop customers. Then squawk is tested: it must reject migrations that are
# known to be unsafe, so that a wrong configuration can't pass everything.
# What squawk can't see, `service/tests/consistency/migrations.rs` checks.
set -euo pipefail
# shellcheck source=scripts/ops-check.d/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

readonly LIMIT="SET LOCAL lock_timeout = '1s';"
readonly NO_TRANSACTION='^-- No transaction: '

# It finds .squawk.toml in the folder where it runs.
run_squawk() { (cd migrations && "$TOOLS/python/bin/squawk" --reporter gcc "$@"); }

# lint FILE: with the rules for the way in which `orderly migrate` runs it.
lint() {
  local options=()
  if grep -qE "$NO_TRANSACTION" "$1"; then
    options=(--no-assume-in-transaction --exclude 'require-lock-timeout,require-statement-timeout,prefer-robust-stmts')
  fi
  run_squawk "${options[@]}" "${1#migrations/}"
}

# rejects RULE SQL: squawk names the rule that the migration breaks.
rejects() {
  local output
  if output=$(printf '%s\n' "$2" | run_squawk --stdin-filepath bad.sql 2>&1); then
    return 1
  fi
  case $output in *" $1 "*) return 0 ;; esac
  printf '%s\n' "$output"
  return 1
}

if ! install_python_tool squawk-cli==2.70.0; then
  report_skipped "locks of the migrations" squawk "install python3-venv, and let pip reach PyPI; or pip install squawk-cli"
  exit
fi
for migration in migrations/*/up.sql; do
  run_check "squawk $migration" lint "$migration"
done
run_check "squawk rejects a foreign key in a new table, without a lock timeout" rejects require-lock-timeout \
  'CREATE TABLE returns (order_id uuid PRIMARY KEY REFERENCES orders (id));'
run_check "squawk rejects a foreign key that reads the table under its lock" rejects adding-foreign-key-constraint \
  "$LIMIT ALTER TABLE outbox ADD CONSTRAINT k FOREIGN KEY (order_id) REFERENCES orders (id);"
run_check "squawk rejects a key that is validated in the transaction that adds it" rejects constraint-missing-not-valid \
  "$LIMIT ALTER TABLE outbox ADD CONSTRAINT k FOREIGN KEY (order_id) REFERENCES orders (id) NOT VALID;
   ALTER TABLE outbox VALIDATE CONSTRAINT k;"
run_check "squawk rejects an index that blocks writes" rejects require-concurrent-index-creation \
  "$LIMIT CREATE INDEX newest ON orders (created_at);"
run_check "squawk rejects a change of type, which rewrites the table" rejects changing-column-type \
  "$LIMIT ALTER TABLE orders ALTER COLUMN id TYPE text;"
run_check "squawk rejects NOT NULL, which reads the table under its lock" rejects adding-not-nullable-field \
  "$LIMIT ALTER TABLE orders ALTER COLUMN failure_reason SET NOT NULL;"
run_check "squawk rejects a new column that the version before does not write" rejects adding-required-field \
  "$LIMIT ALTER TABLE orders ADD COLUMN note text NOT NULL;"
run_check "squawk rejects a new name, which the version before does not know" rejects renaming-column \
  "$LIMIT ALTER TABLE orders RENAME COLUMN status TO state;"
