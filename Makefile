# The only commands a person must know; `make` alone lists them. The work is done by
# scripts/, each of which says at its top what it is for.

# A pipeline must not quietly change the locked versions.
LOCKED := $(if $(CI),--locked)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: ## Start everything here: Postgres, Redis, payment gateway, service; Ctrl-C stops it
	@scripts/run.sh

.PHONY: test
test: ## Run all tests with a real Postgres and Redis (ARGS='-p orderly --test api')
	@scripts/with-services.sh scripts/cargo.sh test $(LOCKED) --all-features $(or $(ARGS),--workspace)

.PHONY: test-contract
test-contract: ## Hold the running service to its OpenAPI document (needs PyPI)
	@scripts/with-services.sh scripts/contract.sh

.PHONY: services
services: ## Run CMD='…' with the tests' Postgres and Redis; without CMD, print their URLs and wait
	@scripts/with-services.sh $(CMD)

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
	RUSTDOCFLAGS='-D warnings' scripts/cargo.sh doc $(LOCKED) --workspace --all-features --no-deps

.PHONY: check-shell
check-shell:
	scripts/lint-shell.sh

.PHONY: clean-data
clean-data: ## Remove the data of `make run`
	@scripts/clean-data.sh
