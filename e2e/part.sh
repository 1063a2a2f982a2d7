# Sourced: `status` is 1 once a part has failed.
status=0

# part NAME COMMAND...: runs it, and remembers that it failed.
part() {
  local name=$1 started=$SECONDS; shift
  "$@" || { status=1; echo "failed: $name"; }
  echo "[$((SECONDS - started)) s] $name"
}
