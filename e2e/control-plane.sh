#!/usr/bin/env bash
# A real etcd and kube-apiserver on loopback, on random free ports, in a folder of their own.
#
#   control-plane.sh tools       builds kube-apiserver, kubectl and helm into the cache, unless they are there
#   control-plane.sh node-tools  those, and what node.sh adds: controller manager, scheduler, kubelet, kube-proxy
#   control-plane.sh up DIR      starts both in DIR; writes DIR/admin.kubeconfig and DIR/audit-port
#   control-plane.sh stop DIR    ends the apiserver alone (its data stays)
#   control-plane.sh start DIR   starts it again, on the same port
#   control-plane.sh down DIR    ends both and removes DIR
#
# The apiserver sends audit events to http://127.0.0.1:<audit-port>/k8s-audit, where an agent may listen, and keeps them
# in DIR/audit.log. With ADDRESS it listens there instead of on loopback, with AUDIT_SINK it sends to that host and port.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
BIN=${SAKER_CACHE:-/var/cache/saker}/bin
ADDRESS=${ADDRESS:-127.0.0.1}
KUBERNETES=v1.35.4
HELM=v3.20.2

die() { echo "control-plane: $*" >&2; exit 1; }

# --- tools ---------------------------------------------------------------------------------------------------------

# build NAME PACKAGE: one program of the Go module beside this script. Without -X it would call itself v0.0.0-master,
# and helm would think of a cluster of version 1.20.
build() {
  local of="$KUBERNETES $HELM"
  [ -x "$BIN/$1" ] && [ "$(cat "$BIN/$1.version" 2>/dev/null || echo "$of")" = "$of" ] && return
  command -v go >/dev/null || die "$1 is not in $BIN and there is no Go to build it: install Go 1.25 or later (https://go.dev/dl)"
  local v=k8s.io/component-base/version h=helm.sh/helm/v3
  echo "control-plane: building $1 (once; minutes from an empty Go cache) ..."
  mkdir -p "$BIN"
  (cd "$here/control-plane" && CGO_ENABLED=0 go build -trimpath -o "$BIN/$1.new" -ldflags="-s -w \
    -X $v.gitVersion=$KUBERNETES -X $v.gitMajor=1 -X $v.gitMinor=35 -X $v.gitTreeState=clean \
    -X $h/internal/version.version=$HELM -X $h/pkg/chartutil.k8sVersionMajor=1 -X $h/pkg/chartutil.k8sVersionMinor=35 \
    -X $h/pkg/lint/rules.k8sVersionMajor=1 -X $h/pkg/lint/rules.k8sVersionMinor=35" "$2")
  mv "$BIN/$1.new" "$BIN/$1" # whole or not at all
  echo "$of" >"$BIN/$1.version"
}

tools() {
  command -v etcd >/dev/null || die "etcd is missing: apt-get install etcd-server"
  command -v openssl >/dev/null || die "openssl is missing: apt-get install openssl"
  build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
  build kubectl k8s.io/kubernetes/cmd/kubectl
  build helm helm.sh/helm/v3/cmd/helm
}

node_tools() {
  local name
  for name in kube-controller-manager kube-scheduler kubelet kube-proxy; do build $name k8s.io/kubernetes/cmd/$name; done
}

# --- certificates --------------------------------------------------------------------------------------------------

key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }

# leaf NAME SUBJECT [SAN]: a key and a certificate signed by our CA.
leaf() {
  key "$1.key"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  printf 'extendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}

certificates() {
  key ca.key
  openssl req -x509 -new -key ca.key -subj /CN=saker-e2e -days 30 -out ca.crt -addext basicConstraints=critical,CA:TRUE
  key sa.key # signs the tokens of ServiceAccounts
  openssl pkey -in sa.key -pubout -out sa.pub
  leaf apiserver /CN=kube-apiserver "DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:$ADDRESS"
  leaf admin /O=system:masters/CN=admin # as whom it asks kubelets, too
}

# kubeconfig NAME: for whom the certificate NAME.crt is.
kubeconfig() {
  cat >"$1.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "https://$ADDRESS:$(cat apiserver-port)", certificate-authority: $PWD/ca.crt}}]
users: [{name: $1, user: {client-certificate: $PWD/$1.crt, client-key: $PWD/$1.key}}]
contexts: [{name: e2e, context: {cluster: e2e, user: $1}}]
current-context: e2e
K
}

# --- configuration -------------------------------------------------------------------------------------------------

# A port nobody listens on, below the range that the kernel gives out.
free_port() {
  local port
  while port=$((RANDOM % 12000 + 20000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

configure() {
  local port
  for port in etcd etcd-peer apiserver audit; do free_port >"$port-port"; done
  kubeconfig admin
  cat >audit-webhook.kubeconfig <<K
apiVersion: v1
kind: Config
clusters: [{name: saker, cluster: {server: "http://${AUDIT_SINK:-127.0.0.1:$(cat audit-port)}/k8s-audit"}}]
users: [{name: none, user: {}}]
contexts: [{name: saker, context: {cluster: saker, user: none}}]
current-context: saker
K
  # What the cluster's own parts do every few seconds says nothing about an intruder.
  cat >audit-policy.yaml <<K
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, system:kube-proxy]}
- {level: None, userGroups: [system:nodes, "system:serviceaccounts:kube-system"]}
- {level: None, nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/openapi/*", "/version", "/api*"]}
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources: [{group: "", resources: [pods, configmaps, "pods/exec"]}]
- {level: Metadata}
K
}

# --- processes -----------------------------------------------------------------------------------------------------

# run NAME COMMAND...: in the background, its pid and log beside the other files.
run() {
  local name=$1; shift
  "$@" >>"$name.log" 2>&1 &
  echo $! >"$name.pid"
}

# end NAME: asks, waits up to ten seconds, then insists.
end() {
  local pid i
  [ -f "$1.pid" ] || return 0
  pid=$(cat "$1.pid"); rm "$1.pid"
  kill "$pid" 2>/dev/null || return 0
  for i in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
}

start_etcd() {
  local client peer
  client=http://127.0.0.1:$(cat etcd-port) peer=http://127.0.0.1:$(cat etcd-peer-port)
  run etcd etcd --data-dir "$PWD/etcd" --name e2e --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "e2e=$peer"
}

start_apiserver() {
  run apiserver "$BIN/kube-apiserver" --etcd-servers "http://127.0.0.1:$(cat etcd-port)" \
    --bind-address "$ADDRESS" --advertise-address "$ADDRESS" --secure-port "$(cat apiserver-port)" \
    --service-cluster-ip-range 10.96.0.0/16 --allow-privileged --authorization-mode Node,RBAC \
    --tls-cert-file apiserver.crt --tls-private-key-file apiserver.key --client-ca-file ca.crt \
    --kubelet-client-certificate admin.crt --kubelet-client-key admin.key --kubelet-certificate-authority ca.crt \
    --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file sa.pub --service-account-signing-key-file sa.key \
    --audit-policy-file audit-policy.yaml --audit-webhook-config-file audit-webhook.kubeconfig \
    --audit-webhook-mode batch --audit-webhook-batch-max-wait 1s --audit-webhook-initial-backoff 1s \
    --audit-log-path audit.log
  local i
  for i in $(seq 600); do
    "$BIN/kubectl" --kubeconfig admin.kubeconfig get --raw /readyz >/dev/null 2>&1 && return
    kill -0 "$(cat apiserver.pid)" 2>/dev/null || { tail -20 apiserver.log >&2; die "kube-apiserver ended at once"; }
    sleep 0.1
  done
  die "kube-apiserver is not ready after a minute; see $PWD/apiserver.log"
}

control_plane() {
  certificates
  configure
  start_etcd
  start_apiserver
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0 # node.sh takes the functions

case ${1:-} in
  tools) tools ;;
  node-tools) tools && node_tools ;;
  up)
    tools
    mkdir -p "${2:?a folder}" && cd "$2"
    control_plane ;;
  stop) cd "${2:?a folder}" && end apiserver ;;
  start) cd "${2:?a folder}" && start_apiserver ;;
  down)
    cd "${2:?a folder}" && end apiserver && end etcd
    cd / && rm -rf "$2" ;;
  *) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0"; exit 1 ;;
esac
