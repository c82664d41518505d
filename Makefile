# The only commands a person must know; `make` alone lists them. The work is done by xtask/ and
# scripts/; each file says at its top what it is for.

# A pipeline must not quietly change the locked versions.
LOCKED := $(if $(CI),--locked)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: ## Start everything here: Postgres, Redis, payment gateway, service; Ctrl-C stops it
	@scripts/xtask.sh run

.PHONY: image
image: ## Build the images, orderly:dev and sandbox-gateway:dev
	@scripts/image.sh

.PHONY: demo
demo: ## Bring up everything in containers: service, dashboards, alerts, load (ARGS=light: the service alone)
	@scripts/demo.sh $(ARGS)

.PHONY: demo-down
demo-down: ## Remove the demo, its data too
	docker compose down --volumes --remove-orphans

.PHONY: test-demo
test-demo: ## Test the demo: place an order, stop a replica under load, remove everything
	@scripts/test-demo.sh $(ARGS)

.PHONY: test
test: ## Run all tests with a real Postgres and Redis (ARGS='-p orderly --test api')
	@scripts/xtask.sh services -- scripts/cargo.sh test $(LOCKED) --all-features $(or $(ARGS),--workspace)

.PHONY: drills
drills: ## Fail dependencies under load, print a table of the responses (ARGS=postgres_killed)
	@scripts/xtask.sh drills -- $(ARGS)

.PHONY: test-contract
test-contract: ## Compare the running service with its OpenAPI document; needs PyPI (ARGS=5 sends fewer examples)
	@scripts/xtask.sh test-contract $(ARGS)

.PHONY: test-backup
test-backup: ## Back up a database under load, restore it elsewhere, compare
	@scripts/xtask.sh test-backup

.PHONY: test-commands
test-commands: ## Run the other documented commands in a short form, as CI does; removes .data
	@scripts/test-commands.sh

.PHONY: ops-check
ops-check: ## Parse or run every ops file with the program it is for (ARGS=50-systemd)
	@scripts/ops-check.sh $(ARGS)

.PHONY: test-checks
test-checks: ## Break each helper of the ops checks, and require the check to fail (ARGS=40-kubernetes)
	@scripts/test-checks.sh $(ARGS)

.PHONY: load
load: ## Load test: iterations at a constant rate, thresholds, invariants (ARGS='--scenario browse --rate 200 --duration 1m')
	@scripts/xtask.sh load -- $(ARGS)

.PHONY: bench
bench: ## Compare the order path with pgbench, on a machine that does nothing else (ARGS='--rounds 9')
	@scripts/xtask.sh bench -- $(ARGS)

.PHONY: services
services: ## Run CMD='…' with the tests' Postgres and Redis; without CMD, print their URLs and wait
	@scripts/xtask.sh services -- $(CMD)

.PHONY: certs
certs: ## Make a development CA and certificates in .data/certs (ARGS=FOLDER for another place)
	@scripts/certs.sh $(ARGS)

.PHONY: fork
fork: ## Write a renamed copy, the start of another service (NAME=invoices DIR=../invoices)
	$(if $(and $(NAME),$(DIR)),,$(error make fork needs a name and a folder: make fork NAME=invoices DIR=../invoices))
	@scripts/xtask.sh fork "$(NAME)" "$(DIR)"

.PHONY: test-fork
test-fork: ## Write a renamed copy, compile and test it, and remove it
	@scripts/test-fork.sh

.PHONY: check
check: check-fmt check-clippy check-docs check-shell ## Check format, lints, documentation and shell scripts

.PHONY: check-fmt
check-fmt:
	scripts/cargo.sh fmt --all --check

.PHONY: check-clippy
check-clippy:
	scripts/cargo.sh clippy $(LOCKED) --workspace --all-targets --all-features -- -D warnings

.PHONY: check-docs
check-docs:
	RUSTDOCFLAGS='-D warnings' scripts/cargo.sh doc $(LOCKED) --workspace --all-features --no-deps --document-private-items

.PHONY: check-shell
check-shell:
	scripts/lint-shell.sh

.PHONY: clean-data
clean-data: ## Remove .data: the data of `make run`, certificates, downloaded servers
	@scripts/xtask.sh clean-data
