// Package config turns a TOML file and command line flags into the
// configuration of a prefork daemon, or into a list of everything that is
// wrong with them.
//
// One table describes each setting once: the struct tags of prefork.Config, of
// Config here, and of the handlers' options (package internal/setting). Flags, the
// file's decoder, the completion, the help and the printed configuration are all
// made from it, and a test compares the example file and the documentation with it.
//
//	prefork.toml ──► document ──► assign ──┐
//	                 (lines)     (types)   ├──► Config ──► validate
//	--flags ───────────────────► assign ───┘               (meaning)
//	                  each stage adds Problems; none stops the others
//
// Invariants:
//
//   - Every problem is reported at once, with file and line, sorted by line. A
//     key that cannot be read keeps its default while the others are looked at,
//     and takes no further part, so that one mistake is one problem.
//   - Nothing is ignored: an unknown key, table or handler option is a problem,
//     and names the nearest valid one.
//   - A flag that was given wins over the file. Nothing else does: there are no
//     environment variables and no default file.
//   - A Config from Load is complete: each field but Listen has its effective
//     value, so what `prefork check` prints is what runs.
//
// What it does not do: open sockets, look up users, or read anything but the
// one file. That a port is free or a directory writable is known only by trying.
package config
