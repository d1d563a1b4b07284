package systemd

// harden writes the sandbox of a system service. What a network server cannot
// do without stays open, and the comment above it says so.
func (o UnitOptions) harden(u *unitText) {
	o.identity(u)
	o.fileSystem(u)
	u.comment("Nothing of the kernel's to see or change.")
	u.on("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname",
		"LockPersonality", "MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "PrivateIPC")
	u.set("KeyringMode", "private")
	u.comment("The master reads its workers' memory in /proc/PID; other users' processes it need not see.")
	u.set("ProtectProc", "invisible")
	u.set("ProcSubset", "pid")
	u.comment("Open: the network, for that is what the service is for. IPAddressAllow= and\n" +
		"IPAddressDeny= in a drop-in narrow it to the clients' addresses.")
	u.set("RestrictAddressFamilies", families)
	systemCalls(u)
}

// families are what a network server needs, and netlink: the kernel says over
// it whether handshakes are under way, for which a drain waits.
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
		u.comment("Open: the one capability that ports under 1024 take. It holds in the system's own\n" +
			"user namespace only, so PrivateUsers= must be off. A socket unit needs neither.")
		u.set("AmbientCapabilities", "CAP_NET_BIND_SERVICE")
		u.set("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE")
		u.set("PrivateUsers", "no")
	} else {
		u.set("CapabilityBoundingSet", "")
		u.set("AmbientCapabilities", "")
		u.comment("The control socket sees root and the service's own user; others look like nobody.")
		u.on("PrivateUsers")
	}
}

// fileSystem is what the service sees of the disk.
func (o UnitOptions) fileSystem(u *unitText) {
	u.comment("Writable are only the unit's own directories, and what ReadWritePaths= names.")
	if o.RunAs == "" {
		u.comment("The user that systemd makes up owns nothing else: where ReadWritePaths= names a\n" +
			"directory of root's it can write no more than anybody. Fix User= for that.")
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
		u.comment("A Unix listener in /tmp would be invisible, and under /run it is for root alone: systemd\n" +
			"keeps the directory of a made-up user in /run/private. For others: a socket unit, or User=.")
	} else {
		u.comment("A Unix listener in /tmp would be invisible: put it under /run instead.")
	}
	u.on("PrivateTmp", "PrivateDevices")
	u.set("DevicePolicy", "closed")
	u.set("UMask", "0077")
}

// hardenUser writes what a user's own manager can enforce, which is what
// seccomp does for any process that cannot gain privileges.
func hardenUser(u *unitText) {
	u.comment("Open: the file system, devices and other processes. Hiding them takes privileges\n" +
		"that a user's manager does not have.")
	u.on("NoNewPrivileges", "LockPersonality", "MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID")
	u.set("UMask", "0077")
	u.set("RestrictAddressFamilies", families)
	systemCalls(u)
}

func systemCalls(u *unitText) {
	u.set("SystemCallArchitectures", "native")
	u.comment("What a service uses, without what takes privileges. Among that is chown, so that\n" +
		"owner= and group= of a Unix listener need SystemCallFilter=@chown in a drop-in, and\n" +
		"in a system's service CAP_CHOWN and PrivateUsers=no. A socket unit needs none of it.\n" +
		"What is refused fails with EPERM rather than killing the process.")
	u.set("SystemCallFilter", "@system-service")
	u.set("SystemCallFilter", "~@privileged @resources")
	u.set("SystemCallErrorNumber", "EPERM")
}
