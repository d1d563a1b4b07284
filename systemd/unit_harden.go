package systemd

// harden writes the sandbox of a system service. What a network server cannot
// do without stays open, and the comment above it says so.
func (o UnitOptions) harden(u *unitText) {
	o.identity(u)
	o.fileSystem(u)
	u.comment("The kernel's settings and logs are hidden or read-only.")
	u.on("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname",
		"LockPersonality", "MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "PrivateIPC")
	u.set("KeyringMode", "private")
	u.comment("The master reads its workers' memory use in /proc/PID. It needs no other processes.")
	u.set("ProtectProc", "invisible")
	u.set("ProcSubset", "pid")
	u.comment("Open: the network, because this is a server. Restrict it with IPAddressAllow= and\n" +
		"IPAddressDeny= in a drop-in.")
	u.set("RestrictAddressFamilies", families)
	systemCalls(u)
}

// families are those of a network server, and netlink, over which a drain asks
// the kernel for unfinished handshakes.
const families = "AF_INET AF_INET6 AF_UNIX AF_NETLINK"

// identity is who the service is and what it may do as that.
func (o UnitOptions) identity(u *unitText) {
	if o.RunAs == "" {
		u.on("DynamicUser")
	} else {
		u.set("User", o.RunAs)
		u.on("RemoveIPC")
	}
	u.on("NoNewPrivileges")
	if o.PrivilegedPorts {
		u.comment("Open: the capability for ports below 1024. It is valid only in the system's own user\n" +
			"namespace, so PrivateUsers= must be off. A socket unit needs neither.")
		u.set("AmbientCapabilities", "CAP_NET_BIND_SERVICE")
		u.set("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE")
		u.set("PrivateUsers", "no")
	} else {
		u.set("CapabilityBoundingSet", "")
		u.set("AmbientCapabilities", "")
		u.comment("Root and the service's user can use the control socket; all others appear as nobody.")
		u.on("PrivateUsers")
	}
}

// fileSystem is what the service sees of the disk.
func (o UnitOptions) fileSystem(u *unitText) {
	u.comment("Only the unit's own directories and those in ReadWritePaths= are writable.")
	if o.RunAs == "" {
		u.comment("The dynamic user owns no other directory, so ReadWritePaths= does not let it write to\n" +
			"a directory of root. Use a fixed User= for that.")
	}
	u.set("ProtectSystem", "strict")
	for _, path := range o.WritePaths {
		u.set("ReadWritePaths", quoteWord(path))
	}
	if o.ReadHome {
		u.comment("Open: the service reads files in home directories.")
		u.set("ProtectHome", "read-only")
	} else {
		u.set("ProtectHome", "yes")
	}
	if o.RunAs == "" {
		u.comment("A Unix listener in /tmp is invisible to others, and under /run only root can reach it: systemd\n" +
			"keeps a dynamic user's directory in /run/private. Use a socket unit or User= instead.")
	} else {
		u.comment("A Unix listener in /tmp is invisible to others: put it under /run.")
	}
	u.on("PrivateTmp", "PrivateDevices")
	u.set("DevicePolicy", "closed")
	u.set("UMask", "0077")
}

// hardenUser writes what a user's own manager can enforce, which is what
// seccomp does for any process that cannot gain privileges.
func hardenUser(u *unitText) {
	u.comment("Open: the file system, devices and other processes. Hiding them needs privileges\n" +
		"that a user's service manager does not have.")
	u.on("NoNewPrivileges", "LockPersonality", "MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID")
	u.set("UMask", "0077")
	u.set("RestrictAddressFamilies", families)
	systemCalls(u)
}

func systemCalls(u *unitText) {
	u.set("SystemCallArchitectures", "native")
	u.comment("The usual system calls of a service, without privileged ones such as chown. So owner=\n" +
		"and group= of a Unix listener need SystemCallFilter=@chown in a drop-in, and in a\n" +
		"system service CAP_CHOWN and PrivateUsers=no. A socket unit needs none of them.\n" +
		"A refused call fails with EPERM and does not kill the process.")
	u.set("SystemCallFilter", "@system-service")
	u.set("SystemCallFilter", "~@privileged @resources")
	u.set("SystemCallErrorNumber", "EPERM")
}
