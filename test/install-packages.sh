#!/bin/sh
# Installs the Debian packages that tests use, when this is root on Debian or Ubuntu; otherwise names those that are missing.
# A test that lacks one is skipped, with the reason.
set -u
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need bwrap bubblewrap
need prlimit util-linux
need script bsdutils
need openssl openssl
need curl curl
need gcc "gcc libc6-dev"
need go golang-go
need chromium chromium
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1 && exit 0
  echo "could not install:$missing" >&2
else
  echo "not installed (tests that use them are skipped):$missing" >&2
fi
exit 0
