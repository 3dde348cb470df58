# `make help` lists what there is to call.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup build run history test check fmt clippy docs features deny package torture planted fuzz bench load http \
  peers peers-long peers-check clean

# The repository whose history `make history` records.
REPO ?= $(CURDIR)
# Where the store of `make run` or `make history` is kept; empty: a temporary directory, removed at the end.
DATA ?=
# The cargo profile of `make build` and `make history`.
PROFILE ?= dev
# How long each fuzz target runs.
SECONDS ?= 60
# Which goal of docs/reliability.md `make torture` runs, and for how long.
GOAL ?= 1
MINUTES ?= 10
# `make peers`: anything here makes it a short run that leaves docs/performance.md alone; the rows to measure (none: all).
QUICK ?=
ROWS ?=
# How many requests `make http` makes.
EXAMPLES ?= 5000
# How many entries `make peers-long` appends.
ENTRIES ?= 40000000

export PATH := $(HOME)/.cargo/bin:$(HOME)/.cache/tidelog/bin:$(PATH)

# RocksDB is half an hour of compiling: a compiler cache serves it to every profile and every clone. Looked up when a
# recipe starts, not before: `setup` may just have installed it. Whoever sets CC or CXX keeps them.
ifneq ($(filter default undefined,$(origin CXX)),)
export CXX = $(if $(shell command -v ccache),ccache c++,c++)
endif
ifneq ($(filter default undefined,$(origin CC)),)
export CC = $(if $(shell command -v ccache),ccache cc,cc)
endif

help: ## This list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
	@echo
	@echo '  Variables: REPO=path and DATA=dir for run and history, PROFILE=release, SECONDS=60 for fuzz,'
	@echo '  GOAL=n and MINUTES=m for torture, QUICK=1 and ROWS="durable scan" for peers, ENTRIES=40000000 for peers-long.'

setup: ## Install what the build needs and is missing (Debian packages)
	@scripts/setup

build: setup ## Build the command line with the server, target/debug/tidelog
	cargo build --profile $(PROFILE) --features server

# The demo's store goes with it, unless DATA says where it is kept.
run: setup ## Set up, build, and serve a small living data set: open the address that it prints, Ctrl-C ends it
	@cargo build --profile $(PROFILE) --features server --bin tidelog
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	  cargo run --profile $(PROFILE) --features server --bin tidelog -- \
	    --data "$(or $(DATA),$$dir/store)" serve --demo

history: setup ## The main job: record the git history of REPO and bring three clients up to date
	cargo run --profile $(PROFILE) --features cli --example git_history -- '$(REPO)' $(if $(DATA),--data '$(DATA)')

test: setup ## All tests, documentation examples included
	@scripts/setup-tests
	@scripts/faults-summary --clear
	@if cargo nextest --version >/dev/null 2>&1; then \
	  set -x; cargo nextest run --all-features --no-fail-fast && cargo test --doc --all-features; \
	else set -x; cargo test --all-features --no-fail-fast; fi
	@scripts/faults-summary

torture: setup ## The long run of one reliability goal: GOAL=n MINUTES=m
	@scripts/setup-tests
	GOAL=$(GOAL) MINUTES=$(MINUTES) cargo test --release --all-features --test faults --test shuttle -- torture::torture --exact --ignored --nocapture

planted: setup ## Plant each known bug in turn, and see that its test finds it: bug, test, verdict
	cargo test --all-features --test faults -- planted::every_planted_bug_is_caught --exact --nocapture
	cargo test --all-features --test shuttle -- schedules_that_find_planted_bugs --exact --nocapture

check: fmt clippy docs features ## Formatting, lints, documentation, every feature alone

fmt:
	cargo fmt --check

clippy: setup
	cargo clippy --all-targets --all-features -- -D warnings

docs: setup
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --all-features

features: setup
	scripts/check-features

deny: ## Licences, bans and sources of the dependencies (installs cargo-deny once)
	scripts/check-deny

package: setup ## Package the crate and build the package, as publishing would
	scripts/check-package

fuzz: setup ## Run each fuzz target for SECONDS (needs a nightly compiler)
	scripts/fuzz $(SECONDS)

bench: setup ## Run the benchmarks
	cargo bench --all-features

# Beside durable-streams-server, if STREAMS names its binary (`cargo install durable-streams`).
load: setup ## Put load on a server on this machine, and measure it (ROWS="delivery kill idle pages commits wrk socket")
	cargo build --release --features server --bin tidelog
	cargo run --release --features server --example load -- $(if $(STREAMS),--streams '$(STREAMS)') \
	  --serve '$(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/release/tidelog' $(ROWS)

http: setup ## Try the server against its own OpenAPI document with schemathesis (EXAMPLES=5000)
	cargo build --features server --bin tidelog
	scripts/check-http '$(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/debug/tidelog' $(EXAMPLES)

# Its own package: nobody who builds the library builds its peers.
PEERS = CARGO_TARGET_DIR=$(or $(CARGO_TARGET_DIR),$(CURDIR)/target) cargo run --release --manifest-path benches/peers/Cargo.toml --

peers: setup ## Measure beside RocksDB, fjall, redb, SQLite and Redis (half an hour; QUICK=1: five minutes)
	$(PEERS) run $(if $(QUICK),--quick) $(ROWS)
	$(PEERS) report $(if $(QUICK),--quick)

peers-long: setup ## The long run: ENTRIES entries, Tidelog alone
	$(PEERS) run --entries $(ENTRIES) long
	$(PEERS) report

peers-check: setup ## Lint the benchmark beside other stores, which is a package of its own
	$(subst cargo run --release,cargo clippy,$(PEERS)) -D warnings

clean: ## Remove what cargo built
	cargo clean
