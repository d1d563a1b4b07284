package systemd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ListenFD is the first descriptor that an activator passes
// (SD_LISTEN_FDS_START).
const ListenFD = 3

// MaxPassed bounds the descriptors that Files believes in.
const MaxPassed = 1 << 16

// unnamed is the name of descriptors that came without names, as
// sd_listen_fds_with_names(3) has it.
const unnamed = "unknown"

// File is a descriptor that systemd passed to this process: a socket of a
// socket unit, or one out of the descriptor store.
type File struct {
	FD int

	// Name is FileDescriptorName= of the socket unit, by default the unit's
	// own name with its suffix, or the FDNAME it was stored under.
	// "unknown" if the activator gave no names. Several files may share one.
	Name string
}

// Files returns the descriptors that this process was passed, in order, as
// sd_listen_fds_with_names(3) does. They are the caller's and close-on-exec.
// There are none, and no error, if LISTEN_PID and LISTEN_FDS are absent or
// LISTEN_PID names another process. If the environment is malformed the error is an
// *EnvError, and the descriptors stay open.
//
// With unset the variables are removed in any case, LISTEN_PIDFDID among them, so
// that neither a child nor a second call finds them. No other goroutine may fork
// at the same time.
func Files(unset bool) ([]File, error) {
	files, err := parseActivation(os.LookupEnv, os.Getpid())
	if err == nil {
		err = adopt(files)
	}
	if unset {
		err = errors.Join(err, unsetAll(listenVariables))
	}
	if err != nil {
		return nil, err
	}
	return files, nil
}

// parseActivation reads the environment of an activated process with the ID
// pid. It does not look at the descriptors.
func parseActivation(env lookup, pid int) ([]File, error) {
	owner, hasOwner := env(envListenPID)
	number, hasNumber := env(envListenFDs)
	switch {
	case !hasOwner && !hasNumber:
		return nil, nil
	case !hasOwner:
		return nil, &EnvError{Variable: envListenPID, Problem: "it is missing beside " + envListenFDs,
			Remedy: "start the process from a socket unit or with systemd-socket-activate, or unset " + envListenFDs}
	}
	ownerPID, err := strconv.ParseInt(owner, 10, 32)
	if err != nil || ownerPID < 1 {
		return nil, &EnvError{Variable: envListenPID, Value: owner, Problem: "it is not a process ID",
			Remedy: "it must be the ID of the process that the descriptors are for"}
	}
	if int(ownerPID) != pid {
		return nil, nil // they were for a parent
	}
	if !hasNumber {
		return nil, &EnvError{Variable: envListenFDs, Problem: "it is missing beside " + envListenPID,
			Remedy: "the activator must set both"}
	}
	count, err := strconv.ParseInt(number, 10, 64)
	if err != nil || count < 0 || count > MaxPassed {
		return nil, &EnvError{Variable: envListenFDs, Value: number,
			Problem: fmt.Sprintf("it is no number from 0 to %d", MaxPassed),
			Remedy:  fmt.Sprintf("it must count the descriptors passed from %d on", ListenFD)}
	}
	names, err := parseNames(env, int(count))
	if err != nil {
		return nil, err
	}
	files := make([]File, count)
	for i := range files {
		files[i] = File{FD: ListenFD + i, Name: names[i]}
	}
	return files, nil
}

// parseNames reads LISTEN_FDNAMES, which must have count names if it exists.
func parseNames(env lookup, count int) ([]string, error) {
	value, ok := env(envListenFDNames)
	if !ok {
		return slices.Repeat([]string{unnamed}, count), nil
	}
	if count == 0 && value == "" {
		return nil, nil
	}
	// Counted before it is split: the environment may be megabytes.
	if n := strings.Count(value, ":") + 1; n != count {
		return nil, &EnvError{Variable: envListenFDNames, Value: value,
			Problem: fmt.Sprintf("it has %d names for %d descriptors", n, count),
			Remedy:  "give one name per descriptor, with ':' between them, or none at all"}
	}
	names := strings.Split(value, ":")
	for _, name := range names {
		if err := checkPassedName(name); err != nil {
			return nil, &EnvError{Variable: envListenFDNames, Value: value, Problem: err.Error(),
				Remedy: "correct FileDescriptorName= of the socket unit"}
		}
	}
	return names, nil
}

// adopt makes every file close-on-exec, even after one that is not open, and
// reports the first that is not.
func adopt(files []File) error {
	var first error
	for _, f := range files {
		if err := closeOnExec(f.FD); err != nil && first == nil {
			first = &EnvError{Variable: envListenFDs, Value: strconv.Itoa(len(files)),
				Problem: fmt.Sprintf("descriptor %d (%s): %v", f.FD, f.Name, err),
				Remedy:  fmt.Sprintf("the activator must pass as many descriptors as it says, from %d on", ListenFD)}
		}
	}
	return first
}

// closeOnExec keeps the other descriptor flags. A wrong number does no harm: Go's
// own descriptors are close-on-exec already.
func closeOnExec(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		return err
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC)
	return err
}
