#!/bin/sh
# image.sh DIRECTORY NAME: makes DIRECTORY/image.tar, an image of one static program, without any tool for
# images. The program is there under the name of another, too.
set -eu
source=$(dirname "$0")/act.c
cd "$1"
mkdir -p layer
cc -static -Os -s -o layer/act "$source"
cp layer/act layer/debugfs
echo secret >layer/marker
tar -C layer -cf layer.tar act debugfs marker
layer=$(sha256sum layer.tar | cut -d' ' -f1)
printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/act"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
	"$layer" >config.json
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$2" >manifest.json
tar -cf image.tar manifest.json config.json layer.tar
