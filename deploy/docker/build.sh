#!/bin/sh
# Builds what the image holds, below the folder that is given: the server, with PostgreSQL, and its
# sample of options. The Dockerfile runs this, and so does .ci/run, without Docker.
set -eu
out=$1
cd "$(dirname "$0")/../.."

cargo build --release --locked -p flowserver --features postgres
install -D -m 0755 "${CARGO_TARGET_DIR:-target}/release/flowserver" "$out/usr/local/bin/flowserver"
install -D -m 0644 deploy/flowserver.toml "$out/etc/flow/flowserver.toml"
