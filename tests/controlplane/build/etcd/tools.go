//go:build tools

// Package tools keeps the built command in go.mod through `go mod tidy`.
package tools

import _ "go.etcd.io/etcd/server/v3"
