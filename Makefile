# Fluxora: one place for everything one types. `make` alone prints this list.

SHELL      := /bin/bash
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN        := bin
TOOLS      := $(CURDIR)/.bin
MODULES    := shared proto firmware-bridge agent hub deploy/e2e
PROGRAMS   := agent/cmd/fluxora-agent hub/cmd/fluxora-hub firmware-bridge/cmd/fluxora-bridge
LDFLAGS    := -s -w -X main.version=$(VERSION)
DEMO       := .demo

# Pinned generators and checkers; bump them here only.
PROTOC_GEN_GO      := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GEN_GO_GRPC := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
BUF                := github.com/bufbuild/buf/cmd/buf@v1.75.0
GOFUMPT            := mvdan.cc/gofumpt@v0.12.0
STATICCHECK        := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what the tests and the demo need of the system (Debian packages), if anything is missing
	@deploy/setup.sh

.PHONY: build
build: ## build the three programs and the demo into bin/
	@mkdir -p $(BIN)
	@[ -x $(BIN)/fluxora-demo ] || echo "building the programs; the first time this takes a minute or two"
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ $(addprefix ./,$(PROGRAMS)) ./deploy/e2e/cmd/fluxora-demo ./deploy/e2e/cmd/fluxora-bench ./deploy/e2e/cmd/fluxora-chaos

.PHONY: demo
demo: setup build ## run the whole path on real meters: broker, hub, three sites; Ctrl-C ends it
	@$(BIN)/fluxora-demo --dir $(DEMO) $(if $(DEMO_DATA),--data '$(DEMO_DATA)') $(DEMO_FLAGS)

.PHONY: demo-check
demo-check: setup build ## the same without a terminal: forecasts, hub stopped, forecasts go on, hub back with everything
	@$(BIN)/fluxora-demo --check $(if $(DEMO_DATA),--data '$(DEMO_DATA)') $(DEMO_FLAGS)

.PHONY: demo-clean
demo-clean: ## delete the demo's data
	@rm -rf $(DEMO)

.PHONY: test
test: setup ## run all tests, with real Mosquitto and real Postgres
	go test -count=1 -timeout 20m work

# Packages whose tests build and start whole programs, of which the race detector would see nothing.
PROGRAM_TESTS := fluxora.dev/deploy/e2e fluxora.dev/deploy/e2e/arch
.PHONY: race
race: setup ## run the tests of all packages but those of whole programs under the race detector; the long ones in their short form
	go test -race -short -count=1 -timeout 30m $$(go list work | grep -vxF $(addprefix -e ,$(PROGRAM_TESTS)))

.PHONY: lint
lint: $(TOOLS)/gofumpt $(TOOLS)/staticcheck ## gofumpt, go vet, staticcheck, shellcheck
	@unformatted=$$($(TOOLS)/gofumpt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); \
	  if [ -n "$$unformatted" ]; then echo "gofumpt would change:"; echo "$$unformatted"; exit 1; fi
	go vet work
	@for m in $(MODULES); do echo "staticcheck $$m"; (cd $$m && $(TOOLS)/staticcheck ./...) || exit 1; done
	@if command -v shellcheck >/dev/null; then shellcheck deploy/*.sh hub/bench/*.sh .ci/run; else echo "shellcheck is not installed: shell scripts not checked"; fi

SEED   ?= 1
ROUNDS ?= 20
.PHONY: chaos
chaos: setup build ## a fault campaign with the real programs: SEED=1 ROUNDS=20; prints one line of totals
	@$(BIN)/fluxora-chaos --seed $(SEED) --rounds $(ROUNDS) $(CHAOS_FLAGS)

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## fuzz every fuzz target for FUZZTIME (20s) each
	@set -e; for m in $(MODULES); do \
	  for pkg in $$(cd $$m && go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./...); do \
	    for f in $$(cd $$pkg && grep -hoE '^func (Fuzz[A-Za-z0-9_]+)' *_test.go 2>/dev/null | awk '{print $$2}' | sort -u); do \
	      echo "fuzz $$pkg $$f"; (cd $$pkg && go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) .); done; done; done

.PHONY: bench
bench: setup build ## measure the figures of docs/benchmarks.md
	@deploy/bench.sh

.PHONY: bench-engine
bench-engine: ## measure the tree engines beside scikit-learn and XGBoost on the same rows; writes docs/benchmarks.md
	@hub/bench/engine.sh

.PHONY: generate
generate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## regenerate the protobuf code and the OpenAPI document
	cd proto && PATH="$(TOOLS):$$PATH" buf lint && PATH="$(TOOLS):$$PATH" buf generate
	go run ./hub/cmd/fluxora-hub openapi > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json

.PHONY: verify
verify: generate check-docs ## check that generated files, go.mod files and docs are current
	@git diff --exit-code -- proto docs/openapi.json || { echo "generated files are not current: run make generate and commit"; exit 1; }
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy -diff >/dev/null) || { echo "$$m/go.mod is not tidy: run go mod tidy there"; exit 1; }; done

.PHONY: check-docs
check-docs: ## check that every path that the docs name exists
	@deploy/check-docs.sh

.PHONY: cross
cross: ## build agent and bridge, static, for gateways: linux amd64, arm64, arm (v6), mipsle
	@for t in amd64 arm64 arm mipsle; do \
	  echo "linux/$$t"; mkdir -p dist/linux-$$t; \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$t GOARM=6 GOMIPS=softfloat go build -trimpath -ldflags '$(LDFLAGS)' -o dist/linux-$$t/ \
	    ./agent/cmd/fluxora-agent ./firmware-bridge/cmd/fluxora-bridge || exit 1; done
	@ls -l dist/*/ | awk 'NF>8 {printf "  %-18s %5.1f MB\n", $$9, $$5/1e6} /^dist/ {print $$1}'

$(TOOLS)/protoc-gen-go: Makefile
	GOWORK=off GOBIN=$(TOOLS) go install $(PROTOC_GEN_GO) && touch $@
$(TOOLS)/protoc-gen-go-grpc: Makefile
	GOWORK=off GOBIN=$(TOOLS) go install $(PROTOC_GEN_GO_GRPC) && touch $@
$(TOOLS)/buf: Makefile
	GOWORK=off GOBIN=$(TOOLS) go install $(BUF) && touch $@
$(TOOLS)/gofumpt: Makefile
	GOWORK=off GOBIN=$(TOOLS) go install $(GOFUMPT) && touch $@
$(TOOLS)/staticcheck: Makefile
	GOWORK=off GOBIN=$(TOOLS) go install $(STATICCHECK) && touch $@
