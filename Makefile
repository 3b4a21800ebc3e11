# rtalink: what developers and CI run. `make help` lists it.
#
# Downloads other than crates go to $XDG_CACHE_HOME/rtalink (default ~/.cache/rtalink), never into the repository.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

CARGO_DENY := 0.20.2
# The oldest Java that the broker runs on.
JAVA := 17
# jemalloc is built for the pages of the machine that builds it. ARM machines have pages of 4 to 64 KiB: what is handed on has to run
# on all of them.
PAGES := $(if $(filter aarch64,$(shell uname -m)),JEMALLOC_SYS_WITH_LG_PAGE=16)
# Arguments of `make demo`.
DEMO ?= --duration 30s
# Arguments of `make fuzz`: seconds, and which targets.
FUZZ ?= 60
# Captures for each property in `make fuzz`, and the first seed: by default another one each day.
PROPERTIES ?= 20000
SEED ?= $(shell date +%Y%m%d)0000000
# Arguments of `make torture`.
TORTURE ?=

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: check
check: fmt-check clippy ## the fast round: format, lints, the core alone, unit tests; no Kafka, nothing to install
	cargo test --locked --no-default-features --lib --test core
	cargo test --locked --lib --bins

.PHONY: test
test: tools fmt-check clippy deny ## everything CI runs; the last line is "N passed, N failed"
	@tests/all.sh

.PHONY: torture
torture: tools-java ## kills and outages under load, full size, at most 80 minutes; TORTURE=--release for what users run
	RTALINK_TORTURE=full cargo test --locked $(TORTURE) --test torture -- --test-threads=1

.PHONY: takeover
takeover: tools-java ## the store of an older program, RTALINK_BEFORE=PATH, is taken over
	@test -x "$${RTALINK_BEFORE:-}" || { echo 'RTALINK_BEFORE: expected the program of an older version' >&2; exit 1; }
	cargo test --locked --test torture takeover

.PHONY: fuzz
fuzz: ## each fuzz target for a minute, and more properties; FUZZ='600 tracker' PROPERTIES=2000 SEED=1 for other arguments
	fuzz/run.sh $(FUZZ)
	RTALINK_PROPERTIES=$(PROPERTIES) RTALINK_PROPERTIES_SEED=$(SEED) cargo test --locked --test core properties::

.PHONY: fmt
fmt: ## format the code
	cargo fmt
	cargo fmt --manifest-path benches/instructions/Cargo.toml

.PHONY: fmt-check
fmt-check: ## is the code formatted?
	cargo fmt --check
	cargo fmt --manifest-path benches/instructions/Cargo.toml --check

.PHONY: clippy
clippy: ## lints, as errors
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --lib --test core -- -D warnings

.PHONY: deny
deny: ## licences, banned and doubled crates, sources
	cargo deny --locked check licenses bans sources

.PHONY: bench
bench: ## the benchmarks
	cargo bench --locked

.PHONY: instructions
instructions: tools-valgrind ## count the instructions of a record and an event; fails where one takes 5 % more
	benches/instructions/run.sh

.PHONY: bench-baseline
bench-baseline: tools-valgrind ## write these counts anew
	benches/instructions/run.sh --bless

.PHONY: image
image: tools-image ## the container image, without an engine, as root; the last line is the folder that it is in
	@tests/deployment/image.sh build

.PHONY: dist
dist: ## dist/rtalink-VERSION-ARCHITECTURE-linux.tar.gz, for machines without containers
	$(PAGES) cargo build --release --locked
	@deploy/systemd/dist.sh target/release/rtalink dist

.PHONY: sbom
sbom: ## dist/rtalink.cdx.json: what the binary is made of, for CycloneDX
	@mkdir -p dist && deploy/sbom.py >dist/rtalink.cdx.json && echo dist/rtalink.cdx.json

.PHONY: dashboards
dashboards: ## write the dashboards anew from deploy/grafana/build
	python3 deploy/grafana/build

.PHONY: lists
lists: ## write the lists anew that tests read, with LibreOffice
	tests/lists/make.sh

.PHONY: demo
demo: ## the whole system on this machine; DEMO='--agents 2000 --duration 1m' for other arguments
	cargo run --release --locked -- demo $(DEMO)

.PHONY: kafka
kafka: tools-java ## start Apache Kafka on 127.0.0.1:9092, in the background
	@tests/kafka/kafka.sh start

.PHONY: kafka-stop
kafka-stop: ## stop it
	@tests/kafka/kafka.sh stop

.PHONY: tools
tools: tools-deny tools-java tools-python tools-deploy tools-valgrind ## install what is missing: cargo-deny, Kafka, Prometheus, buildah and more

# apt-get is used where it exists and may be: as root, for what is missing.
define need
{ \
  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
    || { echo 'missing: $(1). Install it and run again.' >&2; exit 1; }; \
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >&2; \
}
endef

.PHONY: tools-deny
tools-deny:
	@have=$$(cargo deny --version 2>/dev/null | awk '{ print $$2 }' || true); \
	oldest=$$(printf '%s\n' $(CARGO_DENY) "$${have:-0}" | sort -V | head -n 1); \
	[ "$$oldest" = $(CARGO_DENY) ] || cargo install --locked --debug cargo-deny --version $(CARGO_DENY)

.PHONY: tools-java
tools-java:
	@version=$$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' || true); \
	[ "$${version:-0}" -ge $(JAVA) ] || $(call need,default-jre-headless)
	@command -v mvn >/dev/null || $(call need,maven)
	@tests/kafka/kafka.sh install

.PHONY: tools-python
tools-python:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || $(call need,python3 python3-venv)
	@tests/tools/python.sh install consumer deploy sbom

# What checks the files under deploy/, and runs them. Debian's Prometheus brings promtool; amtool comes with its Alertmanager.
.PHONY: tools-deploy
tools-deploy: tools-image
	@command -v prometheus promtool >/dev/null || $(call need,prometheus)
	@command -v amtool >/dev/null || $(call need,prometheus-alertmanager)
	@command -v stunnel >/dev/null || $(call need,stunnel4)
	@command -v systemd-analyze >/dev/null || $(call need,systemd)
	@command -v go >/dev/null || $(call need,golang)
	@command -v npm >/dev/null || $(call need,nodejs npm)
	@tests/tools/kustomize.sh install
	@tests/tools/node.sh install grafana

.PHONY: tools-valgrind
tools-valgrind:
	@command -v valgrind >/dev/null || $(call need,valgrind)

.PHONY: tools-image
tools-image:
	@command -v buildah >/dev/null || $(call need,buildah)
	@command -v debootstrap >/dev/null || $(call need,debootstrap)
	@command -v ip >/dev/null || $(call need,iproute2)
