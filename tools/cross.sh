#!/usr/bin/env bash
# cross.sh TARGET COMMAND...: runs COMMAND (cargo) with a compiler and a linker for TARGET, which may be this machine's own.
#
# Where the toolchain of this checkout has no standard library for TARGET, Debian's rustc may have one
# (tools/deps.sh arm64); cargo stays that of the checkout.
set -euo pipefail
target=${1:?a target}
shift
has_std() { [ -d "$("$1" --print target-libdir --target "$target" 2>/dev/null)" ]; }

if [ "$target" != "$(rustc -vV | sed -n 's/^host: //p')" ]; then
  if ! has_std rustc; then
    has_std /usr/bin/rustc || { echo "no standard library for $target: 'tools/deps.sh arm64' or 'rustup target add $target'" >&2; exit 1; }
    export RUSTC=/usr/bin/rustc
  fi
  linker=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")_LINKER
  export "$linker=${!linker:-${target%%-*}-linux-gnu-gcc}"
fi
exec "$@"
