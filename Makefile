# Thin: what a target does is in cargo, scripts/ and the crates. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run demo test test-all test-oldest test-deploy test-images test-reproducible release-check images dashboard cost cost-record soak bench bench-quick fuzz build programs module traps lint audit setup clean

CARGO_TARGET_DIR ?= target
CARGO := cargo --quiet
export PATH := $(CURDIR)/.tools/bin:$(PATH)

# Most tests wait for Envoy longer than they compute, so twice as many run as there are processors.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))

# The tests in a browser need Chromium and npm, which not everybody has.
IF_BROWSER = $(if $(and $(shell command -v chromium),$(shell command -v npm)),browser)
# Prometheus 3, an OpenTelemetry Collector, Helm and kustomize are built by Go, which not everybody has.
OF_GO = prometheus3 collector
IF_GO = $(if $(shell scripts/setup go 2>/dev/null && echo yes),$(OF_GO))

# Not the launcher's: 1.36 knows no `tcp_keepalive` of a listener, and no files that Envoy serves to the
# plugin (`%FILE_CONTENT%`, from 1.38). And not that an edit of a WasmPlugin makes new VMs: there its
# environment is no part of what makes a VM.
ON_OLDEST = downstream:: istio:: updates:: the_plugin_configuration_of_each_identity
NOT_ON_OLDEST = --skip new_vms_find_the_token_of_the_old_ones --skip all_served_in_old_and_new_vms

# The place of crates on this machine stays out of what ships, so that it is the same wherever it is
# made. (`RUSTFLAGS` in the environment takes the place of it; `make images` refuses what comes of that.)
REMAP = --config "target.'cfg(all())'.rustflags=['--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=']"

# The Wasm module with the features $(1) as the file $(2): compiled, then freed of what Envoy need not
# call.
MODULE = $(CARGO) build $(REMAP) --locked --profile module --package entra-auth-module --target wasm32-wasip1 $(1) && \
	$(CARGO) run --locked --package entra-auth-link -- \
	$(CARGO_TARGET_DIR)/wasm32-wasip1/module/entra_auth_module.wasm $(2)

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## Runs the proxy: for TARGET_HOST, else a demo against a simulated Azure. SECONDS=30 ends the demo by itself.
	@scripts/setup rust envoy $(if $(TARGET_HOST),,prometheus)
ifdef TARGET_HOST
	@$(MAKE) --no-print-directory build
	@exec dist/entra-auth-envoy run
else
	@$(MAKE) --no-print-directory demo
	@E2E_DIST=$(DEMO) exec $(CARGO_TARGET_DIR)/debug/demo $(if $(SECONDS),--seconds $(SECONDS))
endif

# What ships takes minutes to optimize. For a first look the same code does without.
DEMO = $(CARGO_TARGET_DIR)/demo
demo:
	@echo 'building the demo: the first time about 2 minutes on two cores' >&2
	@cargo build --locked --package e2e --bin demo --package entra-auth-envoy --bin entra-auth-envoy --package entra-auth-link --bin entra-auth-link
	@cargo build --locked --package entra-auth-module --target wasm32-wasip1
	@mkdir -p $(DEMO)
	@$(CARGO_TARGET_DIR)/debug/entra-auth-link $(CARGO_TARGET_DIR)/wasm32-wasip1/debug/entra_auth_module.wasm $(DEMO)/entra_auth_filter.wasm
	@install -m 755 $(CARGO_TARGET_DIR)/debug/entra-auth-envoy $(DEMO)

build: programs module ## Fills dist/ with what ships: the launcher, the token-sidecar and the Wasm module.

# With RUST_TARGET=aarch64-unknown-linux-gnu for another machine, into a folder of that name in dist/.
# In two calls: in one, each program would get what only the other wants of a crate.
programs:
	@scripts/setup rust
	@echo 'building the launcher and the token-sidecar' >&2
	@$(CARGO) build $(REMAP) --locked --release $(addprefix --target ,$(RUST_TARGET)) --package entra-auth-envoy
	@$(CARGO) build $(REMAP) --locked --release $(addprefix --target ,$(RUST_TARGET)) --package token-sidecar
	@mkdir -p dist/$(RUST_TARGET)
	@install -m 755 $(addprefix $(CARGO_TARGET_DIR)/$(addsuffix /,$(RUST_TARGET))release/,entra-auth-envoy token-sidecar) dist/$(RUST_TARGET)

module:
	@scripts/setup rust
	@echo 'building the Wasm module' >&2
	@mkdir -p dist
	@$(call MODULE,,dist/entra_auth_filter.wasm)

traps: ## Builds, for the tests alone, the Wasm module with a switch that kills it and a count of its allocations.
	@scripts/setup rust
	@mkdir -p $(CARGO_TARGET_DIR)/traps
	@$(call MODULE,--features 'traps allocations',--for-tests $(CARGO_TARGET_DIR)/traps/entra_auth_filter.wasm)

# The machine that images are for, by Debian's name.
THIS_ARCH = $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
ARCH ?= $(THIS_ARCH)

images: ## Builds the container images and the module's OCI artifacts, for ARCH=amd64 or arm64, into dist/images/. Without Docker.
	@scripts/images $(ARCH)

test-images: ## Runs them: the proxy and the token-sidecar as containers, on a local Docker engine.
	@scripts/setup rust prometheus docker cyclonedx
	@$(MAKE) --no-print-directory images ARCH=$(THIS_ARCH)
	.tools/venv/bin/python tests/images/bills.py dist/images/*.cdx.json
	@echo 'building the tests' >&2
	@$(CARGO) test --locked --package images-tests --features docker --no-run
	@scripts/with-docker cargo test --locked --package images-tests --features docker

test-reproducible: ## Builds what ships a second time, from another folder with another CARGO_HOME, and compares.
	@$(MAKE) --no-print-directory build
	@scripts/reproducible

release-check: ## What must hold for a release, beside .ci/run: the same bytes from another folder, images for arm64, half an hour of faults.
	@$(MAKE) --no-print-directory test-reproducible
	@$(MAKE) --no-print-directory images ARCH=arm64
	@$(MAKE) --no-print-directory soak MINUTES=30

test: BY_GO = $(IF_GO)
test: BROWSER = $(IF_BROWSER)
test: ## Runs every test: native, wasm, and end to end on a real Envoy and real Prometheuses. Without Go not on Prometheus 3 and a collector, without Chromium and npm not in a browser.
test-all: BY_GO = $(OF_GO)
test-all: BROWSER = browser
test-all: ## The same, and fails where a part cannot run.
test test-all:
	@scripts/setup rust envoy prometheus $(BY_GO) $(BROWSER) squid node wasm-bindgen
	@$(MAKE) --no-print-directory build traps
	cargo test --locked --workspace --no-fail-fast $(addprefix --features e2e/,$(BY_GO) $(BROWSER))
	cargo test --locked --package entra-token-core --target wasm32-unknown-unknown
	cargo test --locked --package entra-token-core --target wasm32-wasip1
	@$(if $(BROWSER),,echo 'make $@: NOT RUN: the tests in a browser, because chromium or npm is not on PATH' >&2)
	@$(if $(BY_GO),,echo 'make $@: NOT RUN: the tests on Prometheus 3 with remote write 1 and 2, and with an OpenTelemetry Collector, because:' >&2; scripts/setup go || true)

test-oldest: ## Runs the tests of the module as Istio places it on the oldest Envoy that is supported.
	@scripts/setup rust envoy-oldest prometheus
	@$(MAKE) --no-print-directory build
	@list=$$(cargo test --quiet --locked --package e2e --test e2e -- --list $(ON_OLDEST) $(NOT_ON_OLDEST)); \
	for group in $(ON_OLDEST); do \
		grep --quiet "$$group" <<<"$$list" || { echo "make $@: error: no test has $$group in its name" >&2; exit 1; }; \
	done
	E2E_ENVOY=.tools/bin/envoy-oldest cargo test --locked --package e2e --test e2e -- $(ON_OLDEST) $(NOT_ON_OLDEST)

test-deploy: ## Checks the chart, the Kubernetes examples and istio/ by Helm, kustomize and the schemas of Kubernetes and Istio. Needs Go.
	@scripts/setup rust helm kustomize schemas grafana
	@$(MAKE) --no-print-directory build
	cargo test --locked --package deploy --features tools

# Not to the file itself: where it fails, the chart keeps what it has.
DASHBOARD := helm/entra-auth-envoy/dashboards/entra-auth-envoy.json
dashboard: ## Writes the chart's Grafana dashboard anew, from helm/dashboard/dashboard.py.
	@scripts/setup grafana
	@dashboard=$$(.tools/venv/bin/python helm/dashboard/dashboard.py) && echo "$$dashboard" >$(DASHBOARD)

cost: ## Prints what a request costs inside the module that ships, and where that differs from the record.
	@scripts/setup rust
	@$(MAKE) --no-print-directory build traps
	@$(CARGO) run --locked --package cost

cost-record: ## Makes these figures the record, tests/cost/recorded.json: for a change that is meant.
	@scripts/setup rust
	@$(MAKE) --no-print-directory build traps
	@$(CARGO) run --locked --package cost -- --record

soak: ## Starts as each kind of identity, then faults in random order for MINUTES=5 (or more), and the count at the end. SEED=n repeats a run.
	@scripts/setup rust envoy prometheus $(filter prometheus3,$(IF_GO))
	@$(MAKE) --no-print-directory build
	@echo 'building the soak' >&2
	@$(CARGO) build --locked --package e2e --bin soak
	@exec $(CARGO_TARGET_DIR)/debug/soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

bench: ## Measures what a request costs, compared with Envoy's own credential injector (about 15 minutes). RECORD=name keeps it; PEER='command' is measured, too.
bench-quick: ## The most important of it, in two minutes.
bench bench-quick:
	@scripts/setup rust envoy
	@$(MAKE) --no-print-directory build
	@echo 'building the benchmark' >&2
	@$(CARGO) build --locked --profile load --package bench
	@exec $(CARGO_TARGET_DIR)/load/bench $(if $(filter bench-quick,$@),--quick)

fuzz: ## Searches for inputs that break a parser, for SECONDS=60 in total (the build takes minutes, once). Needs a nightly Rust.
	@scripts/fuzz $(or $(SECONDS),60)

lint: ## Checks format, clippy (native and wasm), docs, licences and duplicates of dependencies, and scripts.
	@scripts/setup rust deny shellcheck
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package images-tests --features docker --all-targets -- -D warnings
	cargo clippy --locked --package entra-token-core --package entra-auth-module --package entra-auth-filter --features entra-auth-module/traps,entra-auth-module/allocations --all-targets --target wasm32-wasip1 -- -D warnings
	cargo clippy --locked --package entra-token-core --all-targets --target wasm32-unknown-unknown -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --document-private-items
	cargo deny --locked check --allow license-exception-not-encountered bans licenses sources
	cargo fmt --manifest-path tests/fuzz/libfuzzer/Cargo.toml --check
	cargo deny --locked --manifest-path tests/fuzz/libfuzzer/Cargo.toml --config deny.toml check --allow unmatched-skip --allow license-not-encountered bans licenses sources
	shellcheck --external-sources scripts/setup scripts/fuzz scripts/images scripts/reproducible scripts/with-docker .ci/run

audit: ## Checks dependencies against the RustSec advisory database (fetched from the internet).
	@scripts/setup rust deny
	cargo deny --locked check advisories

setup: ## Installs every tool at once; the other targets install what they need by themselves.
	@scripts/setup rust envoy envoy-oldest prometheus $(if $(IF_GO),$(IF_GO) helm kustomize schemas grafana) $(IF_BROWSER) squid node wasm-bindgen deny shellcheck

clean: ## Removes what was built; .tools/ stays.
	cargo clean
	rm -rf dist
