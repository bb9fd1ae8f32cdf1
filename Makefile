# Targets for people; CI runs `test`, `conformance` and `bench`.
GO ?= go
BIN := bin
PACKAGES := ./...
FUZZTIME ?= 30s

.PHONY: build test race lint fuzz sim bench compare conformance robustness powercut chaos-kill proto clean

build: ## the server and the benchmark as static binaries in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/ ./cmd/...

test: build ## vet, then every test with the expensive invariants on
	$(GO) vet $(PACKAGES)
	$(GO) test -tags invariants -timeout 15m $(PACKAGES)

race: ## every test under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -tags invariants -timeout 40m $(PACKAGES)

lint: ## layers and house rules, then the linters
	$(GO) test ./internal/lint
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0 run $(PACKAGES)

fuzz: ## every fuzz target for FUZZTIME
	FUZZTIME=$(FUZZTIME) ./test/fuzz.sh

clean:
	rm -rf $(BIN) .cache data
