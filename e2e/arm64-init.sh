#!/bin/busybox sh
# The first program of the emulated machine of arm64.sh: runs the programs of the image there and ends the machine.
/bin/busybox --install -s /bin
export PATH=/bin:/ TMPDIR=/tmp HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
verdict='all is well'

part() {
  local name="$1"; shift
  "$@" || { verdict='something failed'; echo "failed: $name"; }
  echo "[$(cut -d' ' -f1 /proc/uptime) s] $name"
}

# The rule is one of those that the agent has by default.
alert() {
  saker-agent >/tmp/alerts 2>/tmp/log &
  local i result
  for i in $(seq 60); do grep -q 'listening on' /tmp/log && break; sleep 1; done
  saker doctor --agent http://127.0.0.1:8765 --raise 'File below /etc opened for writing' --by-writing /etc/marker
  result=$?
  head -c 4000 /tmp/log
  grep -m 1 /etc/marker /tmp/alerts || result=1
  kill %1
  wait %1
  return $result
}

# What fails is told with its end: a console is slow, and what a kernel says of a refused program is long.
live() {
  cd /
  /tests/live --test-threads=1 >/tmp/live 2>&1 && grep '^test ' /tmp/live && return
  grep '^test .* FAILED' /tmp/live
  tail -c 4000 /tmp/live
  return 1
}

uname -srm
part 'saker doctor' saker doctor
part 'an alert' alert
part 'live tests of the probe' live
echo "arm64: $verdict"
poweroff -f
