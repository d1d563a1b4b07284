#!/usr/bin/env bash
# Gives the project another import path: scripts/module.sh host/owner/prefork.
# It rewrites the go.mod of every module of the tree (what is below bench, tools
# and examples/grpc included), the imports, and the paths that tests name. Run
# it on a clean tree and look at `git diff`. It may be run again with another
# path.
set -euo pipefail
new=${1:-}
cd "$(dirname "$0")/.."
old=$(GOWORK=off go list -m)
if [[ ! $new =~ ^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(/[A-Za-z0-9._~-]+)+$ ]]; then
	echo "want a path that go get can fetch, such as make module PATH=example.com/owner/prefork; not \"$new\"" >&2
	exit 2
fi
quoted=${old//./\\.} # for sed; no other character of a path means anything to it

# rewrite PATTERN EXPRESSION...: edits the files of that name with sed.
rewrite() {
	local pattern=$1
	shift
	find . -name .git -prune -o -path ./bin -prune -o -type f -name "$pattern" -print0 | xargs -0 sed -i -E "$@"
}
rewrite go.mod -e "s#^((module|require|replace) |\t)$quoted(/| |\$)#\1$new\3#"
import="^(\s*(import )?([a-z_.]+ )?)\"$quoted(/[^\"]*)?\"\$"
rewrite '*.go' -e "s#$import#\1\"$new\4\"#" -e "s#\"$quoted/#\"$new/#g"
rewrite '*.md' -e "s#$import#\1\"$new\4\"#" -e "s#(go get |-replace )$quoted([=@\`])#\1$new\2#g"
sed -i "s#^$quoted/#$new/#" .ci/skips
echo "$old is $new now; README.md and doc.go still say that it has no public home"
