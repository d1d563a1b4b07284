//go:build amd64 || arm64

package forkexec

import "prefork/internal/forkexec/firstlimit"

func firstLimit() uint64 { return firstlimit.Files[0] }
