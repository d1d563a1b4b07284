#!/usr/bin/env bash
# Runs every fuzz target of the module with so many inputs: scripts/fuzz.sh
# [50000x]. go test fuzzes one target at a time, so they are found and run in
# turn. A time such as 10s works too, but until Go 1.27 a target may then fail
# with "context deadline exceeded" though no input did (go.dev/issue/75804).
set -euo pipefail
inputs=${1:-50000x}
cd "$(dirname "$0")/.."
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$inputs" -fuzzminimizetime 20x "$package"
	done
done
