package systemd

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxName bounds the name of a stored or passed descriptor (FDNAME_MAX).
const maxName = 255

// Store gives the manager copies of descriptors to keep under name (FDSTORE=1,
// FDNAME=); fds stay the caller's. Several descriptors may have one name, which is
// up to 255 printable ASCII characters without ':' and '\'; EscapeName makes one
// of any text. The manager drops descriptors on which poll reports a hang-up or
// an error, and ignores the message without FileDescriptorStoreMax= in the unit.
// Files returns them in the next process.
func (n *Notifier) Store(name string, fds ...int) error {
	if err := checkStored(name); err != nil {
		return fmt.Errorf("store descriptors: %w", err)
	}
	if len(fds) == 0 {
		return fmt.Errorf("store descriptors as %q: none given", name)
	}
	return n.SendFiles(fds, Field{"FDSTORE", "1"}, Field{"FDNAME", name})
}

// Remove makes the manager close every descriptor stored under name
// (FDSTOREREMOVE=1). A name that holds none is no error.
func (n *Notifier) Remove(name string) error {
	if err := checkStored(name); err != nil {
		return fmt.Errorf("remove stored descriptors: %w", err)
	}
	return n.Send(Field{"FDSTOREREMOVE", "1"}, Field{"FDNAME", name})
}

// checkStored refuses the names that systemd would not store as they are: it
// drops the backslashes of a notification.
func checkStored(name string) error {
	if name == "" {
		return errors.New("descriptor without a name")
	}
	if strings.Contains(name, `\`) {
		return fmt.Errorf("descriptor name %q has a backslash; EscapeName makes a name without", name)
	}
	return checkPassedName(name)
}

// checkPassedName allows the empty name, which a foreign activator may use.
func checkPassedName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("descriptor name %.40q… has %d bytes, at most %d", name, len(name), maxName)
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= 0x7f || c == ':' {
			return fmt.Errorf("descriptor name %q: want printable ASCII without ':'", name)
		}
	}
	return nil
}

// EscapeName makes a descriptor name of any text: bytes that a name must not
// have, and the percent sign, become %NN. The result may be too long. The \xNN of
// unit names would not do, because systemd drops backslashes of a notification.
func EscapeName(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == ':' || c == '\\' || c == '%' {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// UnescapeName undoes EscapeName. It leaves other text as it is, because a socket
// unit's FileDescriptorName= need not be escaped.
func UnescapeName(name string) string {
	if text, err := url.PathUnescape(name); err == nil {
		return text
	}
	return name
}
