#!/usr/bin/env bash
# A whole Kubernetes node on this machine: control plane, controller manager, scheduler, containerd, kubelet, kube-proxy.
#
#   node.sh lacks          says what this machine lacks for that, and fails; silent when it lacks nothing
#   node.sh up DIR         starts everything in DIR and waits until the node is ready; writes DIR/admin.kubeconfig
#   node.sh load DIR FILE [NAME NEW]
#                          imports an image archive into the node's containerd, and calls its image NAME also NEW
#   node.sh enter DIR CMD  runs CMD where the cluster's addresses are reachable
#   node.sh busybox FILE   writes an archive of the image localhost/busybox:1, made of this machine's busybox
#   node.sh down DIR       ends everything and leaves the machine as it was
#
# The node has a network namespace of its own, so that no port and no address is taken from the machine, and a mount
# namespace in which /run and the folders of kubelet and containerd are its own. Process ids are the machine's, because
# the probe sees those.
set -euo pipefail
. "$(dirname "$0")/control-plane.sh"
ADDRESS=10.200.0.1
AUDIT_SINK=${AUDIT_SINK:-10.96.200.1:8765} # the Service saker-agent, where the test gives it this address
NODE=node-1
SOCKET=/run/containerd/containerd.sock
# Folders that are the node's own; those that the machine does not have are removed in the end.
FOLDERS=(/var/lib/kubelet /var/lib/containerd /var/lib/cni /var/lib/saker /var/log/pods /var/log/containers /etc/cni/net.d /opt)
# What kubelet changes for the whole machine.
SYSCTLS=(vm.overcommit_memory kernel.panic kernel.panic_on_oops)

# --- what the machine must have ------------------------------------------------------------------------------------

lacks() {
  local program
  [ "$(id -u)" = 0 ] || die "needs root"
  for program in containerd runc ctr ip iptables nsenter unshare gcc busybox; do
    command -v $program >/dev/null || die "needs $program (tools/deps.sh e2e installs it)"
  done
  [ -x /usr/lib/cni/bridge ] || die "needs the CNI plugins in /usr/lib/cni (apt-get install containernetworking-plugins)"
  ip netns add saker-e2e-try 2>/dev/null || die "needs network namespaces"
  local bridge=0
  ip -n saker-e2e-try link add node0 type bridge 2>/dev/null && bridge=1
  ip netns del saker-e2e-try
  [ $bridge = 1 ] || die "needs a kernel with network bridges"
  unshare -m true 2>/dev/null || die "needs mount namespaces"
}

# --- images without a registry -------------------------------------------------------------------------------------

# image FOLDER NAME ENTRYPOINT: the folder as a docker archive on standard output.
image() {
  local work digest
  work=$(mktemp -d)
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$1" -cf "$work/layer.tar" .
  digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Entrypoint":["%s"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')" "$3" "$digest" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$2" >"$work/manifest.json"
  tar -C "$work" -c manifest.json config.json layer.tar
  rm -rf "$work"
}

# The program that holds a pod's namespaces.
pause_image() {
  mkdir -p pause
  cat >pause.c <<'C'
#include <signal.h>
#include <unistd.h>
static void bye(int s) { (void)s; _exit(0); }
int main(void) { signal(SIGINT, bye); signal(SIGTERM, bye); for (;;) pause(); }
C
  gcc -Os -static -s -o pause/pause pause.c
  image pause localhost/pause:1 /pause >pause.tar
}

# For the pods that misbehave.
busybox_image() {
  mkdir -p busybox/bin busybox/tmp busybox/etc
  cp "$(command -v busybox)" busybox/bin/busybox
  local applet
  for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -sf busybox "busybox/bin/$applet"; done
  chmod 1777 busybox/tmp
  echo 'root:x:0:0:root:/:/bin/sh' >busybox/etc/passwd
  image busybox localhost/busybox:1 /bin/sh >busybox.tar
}

# --- namespaces ----------------------------------------------------------------------------------------------------

network() {
  local name=saker-e2e-$$
  echo "$name" >netns
  ip netns add "$name"
  ip -n "$name" link set lo up
  ip -n "$name" link add node0 type bridge # a bridge without ports carries the node's address
  ip -n "$name" addr add $ADDRESS/24 dev node0
  ip -n "$name" link set node0 up
  ip -n "$name" route add default dev node0
}

in_network() { nsenter --net="/run/netns/$(cat netns)" "$@"; }

# The mounts of the node vanish with its last process.
mounts() {
  local folder
  mount --make-rshared / # kubelet and the pods see each other's mounts
  for folder in "${FOLDERS[@]}"; do
    mkdir -p "root$folder"
    mount --bind "root$folder" "$folder"
  done
  mount -t tmpfs tmpfs /run
  mkdir -p /run/netns
}

# --- processes -----------------------------------------------------------------------------------------------------

credentials() {
  leaf kcm /CN=system:kube-controller-manager
  leaf scheduler /CN=system:kube-scheduler
  leaf kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:$ADDRESS"
  leaf proxy /CN=system:kube-proxy
  local name
  for name in kcm scheduler kubelet proxy; do kubeconfig $name; done
}

start_controllers() {
  run kcm "$BIN/kube-controller-manager" --kubeconfig kcm.kubeconfig --root-ca-file ca.crt \
    --service-account-private-key-file sa.key --use-service-account-credentials --leader-elect=false \
    --bind-address 127.0.0.1 --node-monitor-period 1s
  run scheduler "$BIN/kube-scheduler" --kubeconfig scheduler.kubeconfig --leader-elect=false --bind-address 127.0.0.1
}

# restrict_oom_score_adj: not every machine lets root lower it.
start_containerd() {
  cat >containerd.toml <<T
version = 2
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
T
  cat >/etc/cni/net.d/10-e2e.conflist <<C
{"cniVersion": "0.4.0", "name": "e2e", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
  echo 1 >/proc/sys/net/ipv4/ip_forward
  run containerd containerd --config containerd.toml
  local i
  for i in $(seq 300); do ctr -a $SOCKET version >/dev/null 2>&1 && return; sleep 0.1; done
  tail -20 containerd.log >&2
  die "containerd does not answer"
}

start_kubelet() {
  cat >kubelet.yaml <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PWD/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PWD/kubelet.crt
tlsPrivateKeyFile: $PWD/kubelet.key
containerRuntimeEndpoint: unix://$SOCKET
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
resolvConf: ""
healthzBindAddress: 127.0.0.1
volumePluginDir: /var/lib/kubelet/volumeplugins
# A disk that is nearly full is no reason to evict pods or to delete images that nobody can pull again.
evictionHard: {memory.available: 50Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 2s
K
  run kubelet "$BIN/kubelet" --config kubelet.yaml --kubeconfig kubelet.kubeconfig --hostname-override $NODE --node-ip $ADDRESS
}

# Without the sysctls for connection tracking, which are the machine's.
start_proxy() {
  cat >proxy.yaml <<K
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: 10.244.0.0/16
hostnameOverride: $NODE
clientConnection: {kubeconfig: $PWD/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
K
  run proxy "$BIN/kube-proxy" --config proxy.yaml
}

# ready: the node takes pods.
ready() {
  local i state
  for i in $(seq 1200); do
    state=$("$BIN/kubectl" --kubeconfig admin.kubeconfig get node $NODE \
      -o jsonpath='{.status.conditions[?(@.type=="Ready")].status} {.spec.taints}' 2>/dev/null || true)
    [ "$state" = "True " ] && return
    sleep 0.1
  done
  tail -30 kubelet.log >&2
  die "the node is not ready after two minutes"
}

up() {
  ( lacks )
  local folder
  for folder in "${FOLDERS[@]}"; do
    [ -d "$folder" ] || { mkdir -p "$folder" && echo "$folder" >>made; }
  done
  for name in "${SYSCTLS[@]}"; do echo "$name=$(sysctl -n $name)"; done >sysctls
  network
  pause_image
  busybox_image
  in_network unshare -m "$here/node.sh" inside "$PWD"
}

# inside: in the namespaces.
inside() {
  mounts
  control_plane
  credentials
  start_controllers
  start_containerd
  local archive
  for archive in pause busybox; do ctr -a $SOCKET -n k8s.io images import $archive.tar >/dev/null; done
  start_kubelet
  start_proxy
  ready
}

# ctr in the node's mount namespace, where its socket is.
containers() { nsenter -m -t "$(cat containerd.pid)" ctr -a $SOCKET -n k8s.io "$@"; }

# Containers outlive kubelet and containerd: they are ended through containerd.
end_containers() {
  [ -f containerd.pid ] || return 0
  local task
  for task in $(containers task ls -q); do containers task kill -s KILL "$task" || true; done
  for task in $(containers task ls -q); do containers task rm -f "$task" || true; done
  for task in $(containers container ls -q); do containers container rm "$task" || true; done
} >/dev/null 2>&1

down() {
  local name folder
  end kubelet; end proxy
  end_containers
  for name in scheduler kcm apiserver etcd containerd; do end $name; done
  [ ! -f netns ] || ip netns del "$(cat netns)" 2>/dev/null || true
  find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null || true
  [ ! -f sysctls ] || sysctl -q -p sysctls || true
  [ ! -f made ] || tac made | while read -r folder; do rmdir -p --ignore-fail-on-non-empty "$folder" 2>/dev/null || true; done
}

case ${1:-} in
  lacks) lacks ;;
  up) mkdir -p "${2:?a folder}"; cd "$2"; up ;;
  inside) cd "$2"; inside ;;
  load)
    archive=$(realpath "${3:?an archive}")
    cd "$2"
    containers images import "$archive" >/dev/null
    [ -z "${5:-}" ] || containers images tag "$4" "$5" >/dev/null ;;
  enter) cd "${2:?a folder}"; name=$(cat netns); cd "$OLDPWD"; shift 2; exec nsenter --net="/run/netns/$name" "$@" ;;
  busybox)
    archive=$(realpath -m "${2:?where to write}")
    work=$(mktemp -d)
    cd "$work"
    busybox_image
    mv busybox.tar "$archive"
    cd / && rm -rf "$work" ;;
  down) cd "${2:?a folder}"; down; cd /; rm -rf "$2" ;;
  *) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0"; exit 1 ;;
esac
