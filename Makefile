# Saker. `make help` lists the targets.
SHELL := /bin/bash
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= /lib/systemd/system
BINARIES := saker-agent saker-operator saker
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release

# Upstream's rule files and Falco's answers, where a checkout has them beside it.
export SAKER_FIXTURES ?= $(abspath $(wildcard ../shared/fixtures))

.PHONY: help run build test test-live lint e2e kind-e2e image arm64 bench fuzz install deps

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## start the agent with the default rules on this kernel, audit endpoint on 127.0.0.1:8765
	exec $(RELEASE)/saker-agent

build: deps ## build the release binaries into target/release
	cargo build --release --workspace --exclude saker-image --bins

test: deps ## run every test that this machine can run (live kernel tests need root and BTF)
	tools/test.sh --workspace

test-live: deps ## run the tests that need root and BTF: the probe, and upstream's stable rules on this kernel
	tools/test.sh -p saker-source-syscall -p saker-agent --test live --test agent

lint: deps ## rustfmt, clippy with warnings denied, cargo-deny, import directions and size budgets
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@# The fuzz targets are not linked here, so libFuzzer need not be built.
	CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a cargo clippy --locked --manifest-path fuzz/Cargo.toml -- -D warnings
	tools/deny.sh
	cargo test -q -p saker-house

e2e: deps ## prove it on a real control plane and node, from Go modules and Debian packages (built when not cached)
	tools/deps.sh e2e
	e2e/run.sh

kind-e2e: deps ## the same test of image and chart on kind (needs Docker, kind, kubectl and helm)
	tools/deps.sh image
	e2e/kind.sh

image: deps ## build the container image into target/saker.tar, without a Docker engine (TARGET=aarch64-unknown-linux-gnu: for 64-bit ARM)
	tools/deps.sh image $(if $(filter aarch64%,$(TARGET)),arm64)
	tools/image.sh $(if $(TARGET),target/saker-$(firstword $(subst -, ,$(TARGET))).tar,target/saker.tar)

arm64: deps ## prove the image for 64-bit ARM on another machine: its programs and the probe, emulated (20 minutes)
	tools/deps.sh image arm64 qemu
	TARGET=aarch64-unknown-linux-gnu tools/image.sh target/saker-aarch64.tar
	e2e/arm64.sh target/saker-aarch64.tar

bench: build ## measure what docs/performance.md states, ratios within one run
	bench/run.sh

fuzz: ## run the property tests with many new cases, then every fuzz target for a minute (needs cargo-fuzz and nightly)
	PROPTEST_CASES=5000 cargo test -q -p saker-alert -p saker-audit-setup -p saker-capture -p saker-engine -p saker-events -p saker-rules
	cd fuzz && for target in $$(cargo +nightly fuzz list); do mkdir -p corpus/$$target && cargo +nightly fuzz run $$target corpus/$$target seeds/$$target -- -max_total_time=60 || exit 1; done

install: ## install the built programs and the systemd unit (PREFIX, DESTDIR)
	@for b in $(BINARIES); do test -x $(RELEASE)/$$b || { echo "$(RELEASE)/$$b is missing: run 'make build' first"; exit 1; }; done
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(SYSCONFDIR)/saker/rules.d $(DESTDIR)$(UNITDIR)
	install -m 0755 $(BINARIES:%=$(RELEASE)/%) $(DESTDIR)$(PREFIX)/bin
	sed 's#@BINDIR@#$(PREFIX)/bin#' deploy/saker-agent.service > $(DESTDIR)$(UNITDIR)/saker-agent.service
	@echo "Start it with: systemctl daemon-reload && systemctl enable --now saker-agent"

deps:
	@tools/deps.sh
