#!/bin/sh
# Makes the states in this directory anew with the build of a commit: test/testdata/state/make.sh [COMMIT] (the default is the one
# they were made with). INKWELL_TEST_STATE=NAME,… makes some of them only. It takes about two minutes.
set -eu
commit=${1:-5e68e1d}
cd "$(dirname "$0")/../../.."
work=$(mktemp -d)
trap 'git worktree remove --force "$work/tree" 2>/dev/null || :; rm -rf "$work"' EXIT
git worktree add --detach "$work/tree" "$commit" >/dev/null
(cd "$work/tree" && go build -trimpath -tags killpoints -o "$work/inkwell" ./cmd/inkwell)
INKWELL_TEST_PROGRAM=$work/inkwell go test -tags makestate -count=1 -run '^TestMakeState$' ./test
