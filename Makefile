# "make" lists the targets.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X pombo.Version=$(VERSION)

# Run from the module proxy at a fixed version: its own go.mod pins what it is
# built from, the checksum database vouches for it, and Go's build cache keeps
# the binary. So its dependencies stay out of our go.mod.
GOLANGCI_LINT = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The race detector watches everything but SQLite, which is C that was translated to
# Go and has its own locks: watched, it takes five times as long.
RACE = -race -gcflags=modernc.org/sqlite/lib=-race=false

# For the long runs. SEED=0 takes a new seed and prints it.
DURATION  ?= 10m
STEPS     ?= 300
SEED      ?= 0
INSTANCES ?= 50
BENCHARGS ?=
BENCH     ?= .
BENCHTIME ?= 1s
FUZZTIME  ?= 5m

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## run the gateway on the real WhatsApp network, with its data in ./data
	$(GO) run ./cmd/pombo serve

.PHONY: demo
demo: ## take the guided tour, without a phone
	$(GO) run ./cmd/pombo demo

.PHONY: test
test: ## run all tests with the race detector (REQUIRE_ALL=1: none may be skipped)
	$(GO) test $(RACE) -shuffle=on -timeout=15m ./...

.PHONY: lint
lint: ## check format, imports between packages, and common mistakes
	$(GO) vet ./...
	$(GOLANGCI_LINT) run ./...

.PHONY: fmt
fmt: ## format the code
	$(GOLANGCI_LINT) fmt ./...

.PHONY: generate
generate: ## write the generated documents anew
	$(GO) generate ./...

.PHONY: bench
bench: ## measure the whole gateway (BENCHARGS=-quick; -h lists the arguments)
	$(GO) run ./internal/bench $(BENCHARGS)

.PHONY: microbench
microbench: ## run the packages' own benchmarks (BENCH=regexp BENCHTIME=1s)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime=$(BENCHTIME) -benchmem -timeout=60m ./...

.PHONY: chaos
chaos: ## kill the gateway at random and at each step, and count what arrives (DURATION=10m STEPS=300 SEED=0 INSTANCES=50)
	$(GO) test ./cmd/pombo -run '^TestKill' -count=1 -v -timeout=0 -args -kill.for=$(DURATION) -kill.steps=$(STEPS) -kill.seed=$(SEED) -kill.instances=$(INSTANCES)

.PHONY: chaos-engine
chaos-engine: ## let the deliveries alone fail in every way: 200 webhooks with 100,000 events, 4 times, then 500 small runs (SEED=0)
	$(GO) test ./internal/dispatch -run '^TestChaos$$' -count=1 -v -timeout=0 -args -chaos.runs=4 -chaos.hooks=200 -chaos.events=100000 -chaos.seed=$(SEED)
	$(GO) test ./internal/dispatch -run '^TestChaos$$' -count=1 -v -timeout=0 -args -chaos.runs=500 -chaos.seed=$(SEED)

.PHONY: soak
soak: ## keep the gateway under load and watch its memory (DURATION=10m SEED=0)
	$(GO) test ./cmd/pombo -run '^TestSoak' -count=1 -v -timeout=0 -args -soak.for=$(DURATION) -soak.seed=$(SEED)

.PHONY: fuzz
fuzz: ## run each fuzz target (FUZZTIME=5m each)
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' bash scripts/fuzz

.PHONY: build
build: ## build the static binary dist/pombo (VERSION=x.y.z)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/pombo ./cmd/pombo

.PHONY: docker
docker: ## build the container image pombo:VERSION
	docker build --build-arg VERSION='$(VERSION)' -t 'pombo:$(VERSION)' .
