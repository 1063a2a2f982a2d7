#!/usr/bin/env bash
# sbom.sh TARGET: what the three programs are made of, as CycloneDX JSON. Names, versions and licences come from cargo,
# checksums from Cargo.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo tree --locked --target "${1:?a target}" --edges normal,build --prefix none --format '{p}|{l}' \
  -p saker-image | sed 's/ (\*)$//' | sort -u | awk -F'|' -v target="$1" '
  BEGIN {
    while ((getline line < "Cargo.lock") > 0) {
      split(line, part, "\"")
      if (line ~ /^name = /) name = part[2]
      if (line ~ /^version = /) version = part[2]
      if (line ~ /^checksum = /) sha256[name, version] = part[2]
    }
    printf "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\", \"version\": 1,\n"
    printf " \"metadata\": {\"component\": {\"type\": \"application\", \"name\": \"saker\", \"description\": \"%s\"}},\n", target
    printf " \"components\": ["
  }
  $1 != "" {
    split($1, word, " "); name = word[1]; version = substr(word[2], 2)
    if (seen[name, version]++) next
    gsub("/", " OR ", $2)
    printf "%s\n  {\"type\": \"library\", \"name\": \"%s\", \"version\": \"%s\", \"purl\": \"pkg:cargo/%s@%s\"", comma, name, version, name, version
    if ($2 != "") printf ", \"licenses\": [{\"expression\": \"%s\"}]", $2
    if ((name, version) in sha256) printf ", \"hashes\": [{\"alg\": \"SHA-256\", \"content\": \"%s\"}]", sha256[name, version]
    printf "}"; comma = ","
  }
  END { print "\n]}" }'
