#!/usr/bin/env bash
# The end-to-end proof, and how long each part of it took: first the programs as processes beside control planes, then
# the package (image and chart) on a whole node, last the rights that both used. Removes everything again.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
work=$(mktemp -d)
. e2e/part.sh
# The control planes, and the tests that run on the second while all others run on the first: they mostly wait for API
# servers of their own.
CLUSTERS=(cluster beside)
BESIDE=(audit_setup_e2e audit_sink_e2e many_rules_e2e)

finish() {
  local name
  for name in "${CLUSTERS[@]}"; do
    [ ! -d "$work/$name" ] || e2e/control-plane.sh down "$work/$name"
  done
  [ ! -d "$work/node" ] || e2e/node.sh down "$work/node"
  rm -rf "$work"
}
trap finish EXIT

# One after the other, so that they find different ports.
control_planes() {
  local name
  for name in "${CLUSTERS[@]}"; do e2e/control-plane.sh up "$work/$name" || return; done
}

# processes CLUSTER TEST...: one test at a time: they share the cluster and its audit port.
processes() {
  local name=$1; shift
  SAKER_E2E_DIR=$work/$name SAKER_NODE_DIR='' SAKER_IMAGE='' SAKER_AUDIT_LOGS='' \
    tools/test.sh --workspace "${@/#/--test=}" -- --test-threads=1 &&
    cp "$work/$name/audit.log" "$work/$name-audit.log" &&
    e2e/control-plane.sh down "$work/$name"
}

# The tests that are not in BESIDE.
others() {
  local file
  for file in e2e/tests/*_e2e.rs; do basename "$file" .rs; done | grep -vxF "$(printf '%s\n' "${BESIDE[@]}")"
}

# Both at once; what the second says is shown behind the first.
all_processes() {
  local second
  (part "the programs as processes, audit set-up and many rules" processes beside "${BESIDE[@]}"; exit $status) \
    >"$work/beside.log" 2>&1 &
  second=$!
  # shellcheck disable=SC2046
  part "the programs as processes, all others" processes cluster $(others)
  wait $second || status=1
  cat "$work/beside.log"
}

# What `make install` puts in place, without systemd.
host() {
  make --no-print-directory install RELEASE="$target/$(rustc -vV | sed -n 's/^host: //p')/programs" DESTDIR="$work/host" &&
    grep -q '^ExecStart=/usr/local/bin/saker-agent$' "$work/host/lib/systemd/system/saker-agent.service" &&
    "$work/host/usr/local/bin/saker-agent" --version &&
    "$work/host/usr/local/bin/saker" doctor
}

# Registries count what is packed.
image() {
  tools/image.sh "$work/saker.tar" && [ "$(gzip <"$work/saker.tar" | wc -c)" -le $((25 * 1024 * 1024)) ] &&
    SAKER_IMAGE=$work/saker.tar tools/test.sh --workspace --test image_e2e
}

# The test runs where the addresses of the cluster are.
package() {
  local version
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
  e2e/node.sh up "$work/node" &&
    e2e/node.sh load "$work/node" "$work/saker.tar" "localhost/saker:$version" localhost/saker:next &&
    SAKER_NODE_DIR=$work/node SAKER_NODE_AUDIT=1 e2e/node.sh enter "$work/node" \
      tools/test.sh --offline --workspace --test node_e2e &&
    cp "$work/node/audit.log" "$work/node-audit.log"
}

# As `make test` builds it, so that nothing is built twice.
part "programs and tests" cargo build --workspace --bins --tests
export SAKER_BIN_DIR=$target/debug SAKER_TEST_LIMIT=20m
part "tools" e2e/control-plane.sh tools
part "two control planes" control_planes
part "the programs as processes" all_processes

part "the image, at most 25 MiB" image
part "make install" host
if lack=$(e2e/node.sh lacks 2>&1); then
  part "tools of the node" e2e/control-plane.sh node-tools
  part "the package on a node" package
  [ $status != 0 ] || SAKER_AUDIT_LOGS=$work/cluster-audit.log:$work/beside-audit.log:$work/node-audit.log \
    part "rights given and used" tools/test.sh --workspace --test rights_e2e
else
  echo "skipped: the package on a node (${lack#*: })"
fi
echo "[$SECONDS s] all of it"
exit $status
