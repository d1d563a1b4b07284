// Package program lets package preforktest have the worker's part of a
// prefork.Server, which is nothing for the users of either.
package program

import "prefork/worker"

// Of returns what a worker of server, a *prefork.Server, is made of. Package
// prefork sets it.
var Of func(server any) (worker.Config, worker.Options)
