#!/usr/bin/env bash
# kind.sh: the test of the package that `make e2e` runs on a node of its own, on a cluster of kind. Needs Docker, kind,
# kubectl and helm; the nodes' kernel is that of the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in docker kind kubectl helm; do
  command -v $program >/dev/null || { echo "skipped: kind-e2e (needs $program)"; exit 0; }
done
docker info >/dev/null 2>&1 || { echo "skipped: kind-e2e (no Docker engine answers)"; exit 0; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
work=$(mktemp -d)
trap 'kind delete cluster --name saker-e2e; rm -rf "$work"' EXIT

tools/image.sh "$work/saker.tar"
docker load --input "$work/saker.tar"
docker tag "localhost/saker:$version" localhost/saker:next
# The pods that misbehave: busybox of this machine, so that nothing is pulled but kind's own node.
e2e/node.sh busybox "$work/busybox.tar"
docker load --input "$work/busybox.tar"

kind create cluster --name saker-e2e --config e2e/kind.yaml --kubeconfig "$work/admin.kubeconfig" --wait 3m
kind load docker-image --name saker-e2e "localhost/saker:$version" localhost/saker:next localhost/busybox:1
SAKER_NODE_DIR=$work tools/test.sh -p saker-e2e --test node_e2e
