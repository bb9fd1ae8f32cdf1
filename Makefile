# Targets for people; CI runs `test`, `conformance` and `bench`.
GO ?= go
BIN := bin
PACKAGES := ./...
FUZZTIME ?= 30s
SEEDS ?= 1000
FIRST ?= 1

.PHONY: help build test race lint fuzz sim powercut blackout durability compaction scale robustness chaos exactlyonce bench compare conformance cluster proto docs clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## the server and the tools as static binaries in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/ ./cmd/...

test: build ## vet, then every test with the expensive invariants on; needs nothing but Go
	$(GO) vet $(PACKAGES)
	$(GO) test -tags invariants -timeout 15m $(PACKAGES)

race: ## every test under the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -tags invariants -timeout 60m $(PACKAGES)

lint: ## layers and house rules, then the linters
	$(GO) test -count=1 ./internal/lint
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0 run $(PACKAGES)

fuzz: ## every fuzz target for FUZZTIME
	FUZZTIME=$(FUZZTIME) ./test/fuzz.sh

sim: ## simulation of whole clusters, and of the partition log, SEEDS of each; SEED=n replays one cluster exactly, WALSEED=n one log
ifdef WALSEED
	$(GO) test ./internal/wal -count=1 -v -timeout 60m -run Metamorphic -args -wal.seed=$(WALSEED)
else
	$(GO) test ./internal/sim -count=1 -v -timeout 0 -run 'TestSim$$' -args $(if $(SEED),-sim.seed=$(SEED),-sim.seeds=$(SEEDS) -sim.first=$(FIRST))
ifndef SEED
	$(GO) test ./internal/wal -count=1 -v -timeout 60m -run Metamorphic -args -wal.seeds=$(SEEDS)
endif
endif

powercut: ## power cuts of a whole node under real clients, SEEDS of them; SEED=n tells one story again
	$(GO) test ./test/powercut -count=1 -v -timeout 60m -run TestPowerCut -args $(if $(SEED),-powercut.seed=$(SEED),-powercut.seeds=$(SEEDS))

blackout: ## power cuts of one, two or all nodes of a cluster under real clients, SEEDS of them; SEED=n tells one story again
	$(GO) test ./test/blackout -count=1 -timeout 120m -run 'TestBlackout$$' -v -args $(if $(SEED),-blackout.seed=$(SEED),-blackout.seeds=$(SEEDS))

durability: ## 100 times kill -9, a full disk, the trace of system calls; needs strace, and root for the disk
	$(GO) test ./test/durability -count=1 -v -timeout 30m -args -kills=100

compaction: ## a topic of SIZE MiB compacted under writes and kill -9; SIZE=2048 takes some minutes
	$(GO) test ./test/compaction -count=1 -v -timeout 60m -args -mebibytes=$(or $(SIZE),2048) -kills=20

scale: ## 10,000 partitions on one broker
	$(GO) test ./test/scale -count=1 -v -timeout 30m -args -partitions=10000

robustness: ## a minute of garbage on the port beside a good client
	$(GO) test ./test/robustness -count=1 -v -timeout 10m -args -garbage=1m

chaos: ## real clusters that are killed, cut, frozen, filled, ROUNDS times each; RUN=regexp picks tests; needs root and Linux
	ROUNDS=$(or $(ROUNDS),2) RUN='$(RUN)' GO=$(GO) ./test/chaos/chaos.sh

exactlyonce: ## read-process-write loops of CLIENT (franz-go, java or librdkafka; all three if unset), in groups of PROTOCOL (classic or consumer), killed and paused at random, as their servers are, ROUNDS times; SEED=n for the same faults; Java needs Maven
	for client in $(or $(CLIENT),franz-go java librdkafka); do \
	  $(GO) test ./test/exactlyonce -count=1 -v -timeout 120m -args -exactlyonce.client=$$client -exactlyonce.protocol=$(or $(PROTOCOL),classic) \
	    -exactlyonce.rounds=$(or $(ROUNDS),50) -exactlyonce.seed=$(or $(SEED),0) || exit 1; \
	done

bench: build ## short loads of Chronik alone, each verified
	$(GO) run ./test/compare -short

compare: build ## Chronik and Apache Kafka side by side; needs Java 17, Maven, a C compiler; rewrites docs/BENCHMARKS.md
	$(GO) run ./test/compare -docs docs/BENCHMARKS.md

conformance: build ## real clients of seven kinds, NODES=3 against a cluster; needs Java 17, Maven, Python 3, Node 20, and apt-get for kcat
	$(GO) run ./test/conformance/run --nodes $(or $(NODES),1)

cluster: build ## three nodes on this machine until Ctrl-C: Kafka on ports 9092 to 9094, data in data/cluster
	./test/cluster.sh

proto: ## Go code of the metadata records and of the calls between brokers; needs protoc (Debian: protobuf-compiler)
	GOBIN=$(CURDIR)/.cache/bin $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go
	PATH=$(CURDIR)/.cache/bin:$$PATH protoc --go_out=. --go_opt=module=chronik internal/metadata/command/*.proto internal/peer/peerpb/*.proto

docs: ## docs/operations/configuration.md, from the table of keys
	$(GO) generate ./internal/config

clean:
	rm -rf $(BIN) .cache data
