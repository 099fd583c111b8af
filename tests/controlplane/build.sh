#!/bin/sh
# Builds the real control plane the tests compare against: etcd, the Kubernetes components,
# kubectl, Kubernetes' own e2e.test, and kwok. Prints the directory of the binaries.
#
# Seconds when already built; about six minutes on two cores otherwise. The result is keyed by
# the module files in build/, so a version bump builds anew beside the old one.
#   PILOTHOUSE_CONTROLPLANE_CACHE  where to keep it (default ~/.cache/pilothouse/controlplane)
#   GOCACHE                        when set it is used and kept; otherwise the compiler's 4 GB of
#                                  intermediate results live beside the binaries until they are done
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
modules=$here/build
cache=${PILOTHOUSE_CONTROLPLANE_CACHE:-$HOME/.cache/pilothouse/controlplane}
hash=$(cat "$modules"/*/go.mod "$modules"/*/go.sum | sha256sum | cut -c1-16)
home=$cache/$hash

publish() {
    ln -sfn "$hash/bin" "$cache/bin.$$"
    mv -T "$cache/bin.$$" "$cache/bin"
    echo "$home/bin"
}

say() { echo "control plane: $*" >&2; }

mkdir -p "$cache"
if command -v flock >/dev/null; then
    exec 9>"$cache/lock"
    flock 9
fi
if [ -d "$home/bin" ]; then
    publish
    exit 0
fi
command -v go >/dev/null || { say "no go on the PATH (Go 1.26 or later is needed)"; exit 1; }

work=$home.building
mkdir -p "$work/bin"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-trimpath -buildvcs=false'
export GOCACHE="${GOCACHE:-$work/go-build}"

version=$(cd "$modules/kubernetes" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
stamp='-s -w'
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    stamp="$stamp -X $package.gitVersion=$version -X $package.gitTreeState=clean"
    stamp="$stamp -X $package.gitMajor=1 -X $package.gitMinor=$(echo "$version" | cut -d. -f2)"
done

say "building kubectl and the components of Kubernetes $version"
cd "$modules/kubernetes"
go build -ldflags "$stamp" -o "$work/bin/" \
    k8s.io/kubernetes/cmd/kubectl k8s.io/kubernetes/cmd/kube-apiserver \
    k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler
say "building etcd"
cd "$modules/etcd"
go build -ldflags '-s -w' -o "$work/bin/etcd" go.etcd.io/etcd/server/v3
say "building kwok"
cd "$modules/kwok"
go build -ldflags '-s -w' -o "$work/bin/kwok" sigs.k8s.io/kwok/cmd/kwok
say "building Kubernetes' conformance tests"
cd "$modules/kubernetes"
go test -c -ldflags "$stamp" -o "$work/bin/e2e.test" k8s.io/kubernetes/test/e2e

rm -rf "$work/go-build"
mv "$work" "$home"
publish
