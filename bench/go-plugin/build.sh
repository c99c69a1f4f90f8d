#!/bin/sh
# Builds the go-plugin contender from Debian's packages alone; says what is missing when it cannot.
#   apt-get install golang-go golang-github-hashicorp-go-plugin-dev golang-google-grpc-dev
set -eu
out=${1:?usage: build.sh <executable to write>}
sources=/usr/share/gocode
command -v go > /dev/null || { echo "go-plugin is left out: no Go compiler (apt-get install golang-go)"; exit 3; }
for package in github.com/hashicorp/go-plugin google.golang.org/grpc github.com/golang/protobuf; do
  [ -d "$sources/src/$package" ] || {
    echo "go-plugin is left out: $package is not in $sources (apt-get install golang-github-hashicorp-go-plugin-dev golang-google-grpc-dev)"
    exit 3
  }
done
cd "$(dirname "$0")"
GO111MODULE=off GOPATH=$sources GOFLAGS= GOTOOLCHAIN=local go build -o "$out" main.go
