# `make` lists the targets.
.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 50000x

# Directories of `make install`. Packagers set DESTDIR, which is put before each.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
UNITS := prefork.service prefork@.service prefork.socket

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: bin/prefork ## build the daemon into bin/

# bin/prefork depends on its sources, so that `sudo make install` after
# `make build` does not need Go.
SOURCES := $(shell find . -name '*.go' ! -name '*_test.go' ! -path './bench/*' ! -path './tools/*' ! -path './integration/*') \
	$(wildcard cmd/prefork/internal/page/page.*) worker/handlers/index.html go.mod go.sum
# The program is linked statically. In mode forking each connection starts a
# process, and the dynamic loader and the C library would take a quarter of that
# time.
bin/prefork: $(SOURCES)
	CGO_ENABLED=0 $(GO) build -o $@ ./cmd/prefork

# The units contain /usr/local/bin and /etc. `make install` replaces them by the
# real directories.
.PHONY: install
install: bin/prefork ## install the daemon, its units and a configuration (DESTDIR, PREFIX)
	install -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(SYSCONFDIR)/prefork"
	install -m 0755 bin/prefork "$(DESTDIR)$(BINDIR)/prefork"
	@for unit in $(UNITS); do \
		sed -e 's|/usr/local/bin/prefork|$(BINDIR)/prefork|g' -e 's|/etc/prefork/|$(SYSCONFDIR)/prefork/|g' "deploy/systemd/$$unit" \
			>"$(DESTDIR)$(UNITDIR)/$$unit" && chmod 0644 "$(DESTDIR)$(UNITDIR)/$$unit" || exit 1; \
		echo "installed $(DESTDIR)$(UNITDIR)/$$unit"; \
	done
	@config="$(DESTDIR)$(SYSCONFDIR)/prefork/prefork.toml"; \
	if [ -e "$$config" ]; then echo "kept $$config"; \
	else install -m 0644 deploy/prefork.toml "$$config" && echo "installed $$config"; fi

.PHONY: uninstall
uninstall: ## remove what install installed, but keep a changed configuration
	rm -f "$(DESTDIR)$(BINDIR)/prefork" $(UNITS:%="$(DESTDIR)$(UNITDIR)/%")
	@config="$(DESTDIR)$(SYSCONFDIR)/prefork/prefork.toml"; \
	if [ -e "$$config" ] && cmp -s deploy/prefork.toml "$$config"; then rm -f "$$config"; \
	elif [ -e "$$config" ]; then echo "kept $$config, which was changed"; fi
	@rmdir "$(DESTDIR)$(SYSCONFDIR)/prefork" 2>/dev/null || true

.PHONY: test
test: ## run the tests
	$(GO) test ./...

.PHONY: race
race: ## run the tests under the race detector
	$(GO) test -race -short ./...

.PHONY: systemd-test
systemd-test: ## test the daemon under a real systemd in a container; needs root, takes minutes
	PREFORK_SYSTEMD_TEST=1 $(GO) test -count=1 -timeout 30m -v ./integration/systemd

.PHONY: lint
lint: ## gofmt, vet and the linters listed in .golangci.yml
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	cd tools && $(GO) build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run ./...

.PHONY: fuzz
fuzz: ## run every fuzz target with FUZZTIME inputs
	./scripts/fuzz.sh $(FUZZTIME)

SAMPLE ?= 0
PARALLEL ?= 2
.PHONY: mutants
mutants: ## break the promises one by one; each mutant must fail a test (SAMPLE=12 runs twelve)
	cd tools && $(GO) run ./mutants -parallel $(PARALLEL) -sample $(SAMPLE)

.PHONY: bench
bench: ## run the benchmarks of every package, without the tests
	$(GO) test -run '^$$' -bench . -benchtime 1s ./ipc ./master/policy ./worker

.PHONY: start-cost
start-cost: ## print what the start of a worker costs, beside empty programs
	$(GO) run ./integration/startcost

.PHONY: figures
figures: ## compare prefork with other servers; needs python3, nginx and wrk (see docs/benchmarks.md)
	cd bench && $(GO) run . -rounds 7

N ?= 1000000
.PHONY: fork-gate
fork-gate: ## fork a running Go program N times and count the children that hang or are wrong
	CGO_ENABLED=0 $(GO) build -o bin/forkgate ./integration/forkgate
	bin/forkgate -n $(N)

MODE ?= threading
LOAD ?=
.PHONY: profile
profile: ## profile a mode under load, by perf (MODE=threading, event, sequential, forking or http)
	cd bench && $(GO) run . -profile "$(MODE)" -load "$(LOAD)"

# Here PATH on the command line is the import path, but make passes it to the
# recipe as the shell's PATH too. The shell's real PATH is read from the
# environment of make.
ifeq ($(filter module,$(MAKECMDGOALS)) $(origin PATH),module command line)
MODULE := $(PATH)
override PATH := $(shell PATH=/usr/bin:/bin; tr '\0' '\n' <"/proc/$$PPID/environ" | sed -n 's/^PATH=//p')
endif
.PHONY: module
module: ## change the import path of the project: PATH=host/owner/prefork
	./scripts/module.sh "$(MODULE)"

.PHONY: clean
clean: ## remove the built programs
	rm -rf bin
