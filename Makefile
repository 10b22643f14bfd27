# Thin: what a target does is in cargo, scripts/ and the crates. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test build lint audit setup clean

CARGO_TARGET_DIR ?= target
CARGO := cargo --quiet
export PATH := $(CURDIR)/.tools/bin:$(PATH)

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## Runs the proxy: for TARGET_HOST, else a demo against a simulated Azure. SECONDS=30 ends the demo by itself.
	@scripts/setup rust envoy $(if $(TARGET_HOST),,prometheus)
	@$(MAKE) --no-print-directory build
ifdef TARGET_HOST
	@exec dist/entra-auth-envoy run
else
	@echo 'building the demo' >&2
	@$(CARGO) build --locked --package e2e --bin demo
	@exec $(CARGO_TARGET_DIR)/debug/demo $(if $(SECONDS),--seconds $(SECONDS))
endif

build: ## Fills dist/ with what ships: the launcher, the token-sidecar and the Wasm module.
	@scripts/setup rust
	@echo 'building dist/' >&2
	@$(CARGO) build --locked --release --package entra-auth-envoy
	@$(CARGO) build --locked --release --package token-sidecar
	@$(CARGO) build --locked --release --package entra-auth-filter --target wasm32-wasip1
	@mkdir -p dist
	@install -m 755 $(addprefix $(CARGO_TARGET_DIR)/release/,entra-auth-envoy token-sidecar) dist/
	@install -m 644 $(CARGO_TARGET_DIR)/wasm32-wasip1/release/entra_auth_filter.wasm dist/

test: ## Runs every test: native, wasm, and end to end on a real Envoy and a real Prometheus.
	@scripts/setup rust envoy prometheus node wasm-bindgen
	@$(MAKE) --no-print-directory build
	cargo test --locked --workspace --no-fail-fast
	cargo test --locked --package entra-token-core --target wasm32-unknown-unknown
	cargo test --locked --package entra-token-core --target wasm32-wasip1

lint: ## Checks format, clippy (native and wasm), docs, licences and duplicates of dependencies, and scripts.
	@scripts/setup rust deny shellcheck
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package entra-token-core --package entra-auth-filter --all-targets --target wasm32-wasip1 -- -D warnings
	cargo clippy --locked --package entra-token-core --all-targets --target wasm32-unknown-unknown -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --document-private-items
	cargo deny --locked check bans licenses sources
	shellcheck --external-sources scripts/setup .ci/run

audit: ## Checks dependencies against the RustSec advisory database (fetched from the internet).
	@scripts/setup rust deny
	cargo deny --locked check advisories

setup: ## Installs every tool at once; the other targets install what they need by themselves.
	@scripts/setup rust envoy prometheus node wasm-bindgen deny shellcheck

clean: ## Removes what was built; .tools/ stays.
	cargo clean
	rm -rf dist
