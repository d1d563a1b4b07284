package livefork

import (
	"strings"
	"testing"

	"prefork/internal/needtool"
)

func TestEachConditionIsNamed(t *testing.T) {
	for _, c := range []struct {
		role string
		env  string
		want string
	}{
		{"prove", "GOMAXPROCS=2", "GOMAXPROCS is 2"},
		{"signal", "", "package os/signal is used"},
		{"goroutine", "", "a goroutine of package " + packageOf(parker) + " was started before Run (created by " + packageOf(parker) + "."},
		{"blocked", "", "a goroutine of package " + packageOf(parker)},
		{"side", "", "main's goroutine"},
		{"pipe", "", "the network poller holds descriptor"},
		{"connection", "", "(socket:["},
		{"second epoll", "", "a second epoll instance"},
		{"lock", "", "runtime.LockOSThread was called"},
		{"awake", "", "sysmon does not sleep"},
	} {
		t.Run(c.role, func(t *testing.T) {
			t.Parallel()
			out, err := role(t, c.role, c.env)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("the process printed %q and ended with %v; it should print %q", out, err, c.want)
			}
		})
	}
}

func TestCgoIsNamed(t *testing.T) {
	needtool.Need(t, "cc", "gcc")
	out, err := roleOf(t, &withCgo, "prove")
	if err == nil || !strings.Contains(out, "build it with CGO_ENABLED=0") {
		t.Errorf("the process printed %q and ended with %v", out, err)
	}
}

func TestWhatHasEndedBeforeIsNoObstacle(t *testing.T) {
	for _, name := range []string{"prove", "file", "ignore"} {
		t.Run(name, func(t *testing.T) { mustEnd(t, name) })
	}
	t.Run("GOTRACEBACK=system", func(t *testing.T) { mustEnd(t, "prove", "GOTRACEBACK=system") })
}
