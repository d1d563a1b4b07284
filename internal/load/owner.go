package load

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"prefork/internal/cpu"
)

// listens is TCP_LISTEN in the kernel's tables.
const listens = "0A"

// maxTable bounds what is read of the kernel's tables of sockets.
const maxTable = 64 << 20

// owners returns the processes that hold the listening socket of the target
// and that were not started by another one that holds it: of a master and its
// workers, the master. It returns none if the target is on another machine or
// belongs to another user.
func owners(t target, address netip.AddrPort) []int {
	var inodes []string
	if t.network == "unix" {
		inodes = unixInodes(table("/proc/net/unix"), t.address)
	} else if local(address.Addr()) {
		inodes = append(tcpInodes(listening("/proc/net/tcp"), address), tcpInodes(listening("/proc/net/tcp6"), address)...)
	}
	if len(inodes) == 0 {
		return nil
	}
	roots, err := cpu.Roots(holders(inodes))
	if err != nil {
		return nil
	}
	for _, root := range roots {
		members, err := cpu.Members(root)
		if err != nil || slices.Contains(members, os.Getpid()) {
			return nil // our own CPU time could not be told from the server's
		}
	}
	return roots
}

// local reports whether an address is one of this machine's.
func local(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addresses, func(have net.Addr) bool {
		prefix, err := netip.ParsePrefix(have.String())
		return err == nil && prefix.Addr().Unmap() == a.Unmap()
	})
}

// table returns the lines of one of the kernel's tables, without its header.
func table(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil || len(data) > maxTable {
		return nil
	}
	lines := strings.Split(string(data), "\n")
	return lines[1:]
}

// listening returns the lines of one of the kernel's tables of TCP sockets that are
// about those that listen. The kernel lists them first, and after a load of short
// connections they are a few of a hundred thousand.
func listening(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	const state = 3
	var lines []string
	scanner := bufio.NewScanner(f)
	scanner.Scan() // the header
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) <= state || fields[state] != listens {
			break
		}
		lines = append(lines, scanner.Text())
	}
	return lines
}

// inodes returns the column of the lines that match.
func inodes(lines []string, column int, match func(fields []string) bool) []string {
	var found []string
	for _, line := range lines {
		if f := strings.Fields(line); len(f) > 7 && len(f) > column && match(f) {
			found = append(found, f[column])
		}
	}
	return found
}

// tcpInodes finds the sockets that listen for an address (proc_net_tcp(5)).
func tcpInodes(lines []string, want netip.AddrPort) []string {
	const address, state, inode = 1, 3, 9
	return inodes(lines, inode, func(f []string) bool {
		host, port, _ := strings.Cut(f[address], ":")
		n, err := strconv.ParseUint(port, 16, 16)
		a, ok := parseHex(host)
		return f[state] == listens && err == nil && ok && uint16(n) == want.Port() && (a.IsUnspecified() || a == want.Addr().Unmap())
	})
}

// unixInodes finds the sockets that listen at a path.
func unixInodes(lines []string, path string) []string {
	const flags, inode, name = 3, 6, 7
	const accepts = 1 << 16 // __SO_ACCEPTCON
	return inodes(lines, inode, func(f []string) bool {
		n, err := strconv.ParseUint(f[flags], 16, 32)
		return f[name] == path && err == nil && n&accepts != 0
	})
}

// parseHex reads an address as the table has it: words of four bytes, each
// written as this machine's number.
func parseHex(text string) (netip.Addr, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw)%4 != 0 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, ok := netip.AddrFromSlice(raw)
	return a.Unmap(), ok
}

// holders returns the processes that have one of the sockets open.
func holders(inodes []string) []int {
	wanted := make(map[string]bool, len(inodes))
	for _, inode := range inodes {
		wanted["socket:["+inode+"]"] = true
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name(), "fd")
		open, err := os.ReadDir(dir)
		if err != nil {
			continue // gone, or not ours to see
		}
		if slices.ContainsFunc(open, func(fd os.DirEntry) bool {
			link, err := os.Readlink(filepath.Join(dir, fd.Name()))
			return err == nil && wanted[link]
		}) {
			pids = append(pids, pid)
		}
	}
	return pids
}
