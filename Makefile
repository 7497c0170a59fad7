# make run   sees it work on real input        make test  is what CI runs
# make help  lists the rest

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# In make test it is a check that nothing is broken in what the fuzz tests found before, and a short look around: 30 s a target would be ten
# minutes of the twenty. Look longer every night: make fuzz FUZZTIME=5m
FUZZTIME    ?= 10s
# What make race runs. The tests of the whole program are first, because they take longest and wait a good deal: the others have the
# processors meanwhile. Go tests packages in the order in which they are named, each once. Lint has vetted them.
PKG         ?= ./test ./test/chaos ./...
# The packages whose tests need no real process and no Debian package.
UNITS        = $(shell $(GO) list ./... | grep -v -e '^inkwell/test' -e /proto/gen)
# Real binaries on two cores, with the race detector: the slowest package needs minutes.
TESTTIMEOUT ?= 45m
MINUTES     ?= 2
DEPOT       ?= s3
PREFIX      ?= /usr/local
SYSCONFDIR  ?= /etc

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: build
build: ## bin/inkwell
	$(GO) build -trimpath -ldflags '-s -w -X main.release=$(VERSION)' -o bin/inkwell ./cmd/inkwell

.PHONY: run
run: build ## ship FILE=, or real logs of this machine and a generated one, over loopback, and prove that nothing is missing or twice
	@$(GO) run ./test/demo -inkwell bin/inkwell -file '$(FILE)'

.PHONY: deps
deps: ## install the Debian packages that the tests need, where they are missing
	@.ci/deps

# Its parts run one after the other, or side by side with -j; vet is first, because it compiles what the others read.
.PHONY: lint format vet staticcheck
lint: format vet staticcheck ## gofmt, go mod tidy, go vet, staticcheck

format:
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); test -z "$$bad" || { echo "not gofmt-clean:"; echo "$$bad"; exit 1; }
	$(GO) mod tidy -diff

vet:
	$(GO) vet ./...
	cd test/fusefs && $(GO) vet ./...

staticcheck: vet
	$(GO) run $(STATICCHECK) ./...
	cd test/fusefs && $(GO) run $(STATICCHECK) ./...

.PHONY: generate
generate: ## the Thrift code of proto/gen, with thrift-compiler 0.17
	$(GO) generate ./proto

.PHONY: generated
generated: ## fail if the generated code is not what the generator makes
	@old=$$(mktemp -d) && trap 'rm -rf "$$old"' EXIT && cp -r proto/gen "$$old" && $(GO) generate ./proto && diff -r "$$old/gen" proto/gen \
		&& echo "generated code: up to date"

# Staticcheck and the tests run side by side: each of them leaves a processor idle for part of the time.
.PHONY: check
check: ## all that fails fast: lint, the tests of the packages without race detector and fuzzing, the rules of the house
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint units rules

.PHONY: units rules
units: vet # so the tests do not do that again; they wait for a good part of their time, so that four packages are tested at once
	$(GO) test -short -vet=off -p 4 $(UNITS)

rules: vet
	$(GO) test -vet=off ./test -run 'House|PackagesImport|ConflictMarkers|Guarantees|KillPointsAreListed'

.PHONY: race
race: ## the tests of PKG=./store/... (all) with the race detector, and what of them this machine could not run
	@mkdir -p bin && rm -f bin/not-run
	@TEST_NOT_RUN=$(CURDIR)/bin/not-run bash -o pipefail -c '$(GO) test -race -vet=off -timeout $(TESTTIMEOUT) $(PKG) 2>&1 | tee bin/race.out'; status=$$?; \
	if [ -e bin/not-run ]; then sed 's/^/NOT RUN: /' bin/not-run; grep -E '^(ok|FAIL|---)' bin/race.out; fi; exit $$status # whose lines are the last

.PHONY: test
test: deps lint generated ## everything that CI checks
	@$(MAKE) --no-print-directory fuzz; fuzz=$$?; $(MAKE) --no-print-directory race && exit $$fuzz # what fuzzing finds hides no other failure

.PHONY: depots
depots: deps ## the depots with a real S3 server, and a real HDFS that loses a DataNode and its NameNode (make test: without HDFS)
	INKWELL_TEST_HDFS=1 $(GO) test -v -count=1 -timeout 20m ./store/depot

.PHONY: kafka
kafka: deps ## the journal in a topic with a real Kafka: collectors and the broker are killed, stopped, started (make test: without)
	INKWELL_TEST_KAFKA=1 $(GO) test -v -count=1 -timeout 20m -run '^TestTopic' ./test

.PHONY: killpoints
killpoints: ## SIGKILL at each named step of writing, 20 times (make test: 3 times)
	INKWELL_TEST_KILLS=20 $(GO) test -race -v -count=1 -timeout 60m -run '^TestKillPoints' ./test

.PHONY: chaos
chaos: ## break a small fleet at random for MINUTES=2, then compare what was sent with what is there
	INKWELL_CHAOS_MINUTES=$(MINUTES) $(GO) test -race -v -count=1 -timeout $$(( $(MINUTES) + 15 ))m ./test/chaos

.PHONY: chaos-cluster
chaos-cluster: deps ## the same for three collectors over three Kafka brokers and DEPOT=s3 or hdfs, with a control that must find lines twice
	INKWELL_TEST_KAFKA=1 INKWELL_TEST_HDFS=1 INKWELL_CHAOS_MINUTES=$(MINUTES) INKWELL_CHAOS_DEPOT=$(DEPOT) \
		$(GO) test -v -count=1 -timeout $$(( $(MINUTES) + 30 ))m ./test/cluster

.PHONY: peers
peers: ## send to next hops that others wrote, with bounds: Flume, Node, Ruby (apt-get install maven npm nodejs ruby-thrift)
	INKWELL_PEERS=1 $(GO) test -v -count=1 -timeout 15m ./test/peers

.PHONY: readers
readers: deps ## real engines count what was written: DuckDB, pandas, Polars, Spark, Hive, Trino (apt-get install maven; Trino needs Java 25)
	@.ci/readers
	INKWELL_READERS=1 $(GO) test -v -count=1 -timeout 90m -run '^TestRecipesOfReading' ./test

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME, one on each core
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' .ci/fuzz

.PHONY: bench
bench: build ## every benchmark, those of the whole program last, with a table of what is to be reached (INKWELL_BENCH_…: test/bench/main_test.go)
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m $$($(GO) list ./... | grep -v -e '^inkwell/test' -e /proto/gen)
	$(GO) test -v -run '^$$' -bench . -benchtime 1x -timeout 60m ./test/bench

.PHONY: bench-kafka
bench-kafka: deps ## what a topic of a real Kafka, and a depot in S3, take beside a bare client and beside neither
	INKWELL_TEST_KAFKA=1 $(GO) test -v -run '^$$' -bench '^Benchmark(Topic|TopicParts|Depot)$$' -benchtime 1x -timeout 60m ./test/bench

.PHONY: packages
packages: ## a deb, an rpm and a tarball with a static program for ARCH, in bin/packages: the same bytes for the same commit
	@GO='$(GO)' packaging/build

.PHONY: install
install: build ## below DESTDIR, PREFIX (/usr/local) and SYSCONFDIR (/etc): the program, manual pages, completions, units, configurations
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' PROGRAM='$(PROGRAM)' packaging/install

.PHONY: man
man: build ## the manual pages, in bin/man
	bin/inkwell man bin/man

.PHONY: clean
clean: ## remove what make built
	rm -rf bin
