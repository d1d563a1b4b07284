package livefork

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestChildrenServeConnections(t *testing.T) { mustEnd(t, "self-test") }

func TestASelfTestEndsWithItsContext(t *testing.T) {
	if out, err := role(t, "late"); err == nil || !strings.Contains(out, "context canceled") {
		t.Errorf("the process printed %q and ended with %v", out, err)
	}
}

func TestAChildCannotFork(t *testing.T) { mustEnd(t, "grandchild") }

func TestAnOrphanEndsByItself(t *testing.T) {
	out, err := role(t, "orphan")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != Stillborn {
		t.Errorf("the process printed %q and ended with %v", out, err)
	}
}

func TestAChildEndsIfSysmonRanMeanwhile(t *testing.T) { mustEnd(t, "stillborn") }

func TestSysmonMayWaitForAProcessor(t *testing.T) { mustEnd(t, "woken") }

func TestForkAfterLongWaits(t *testing.T) { mustEnd(t, "idle") }

func TestForkAfterASystemCallThatLostP(t *testing.T) { mustEnd(t, "call") }

func TestGarbageOfTheParentIsCollected(t *testing.T) { mustEnd(t, "collection") }

func TestAChildDoesNotCollectTheParentsGarbage(t *testing.T) { mustEnd(t, "room") }

func TestAChildHasNoDescriptorOfTheForker(t *testing.T) { mustEnd(t, "descriptors") }

func TestAChildCollectsAsMainWanted(t *testing.T) { mustEnd(t, "percent") }

func TestPendingTimersFireInChildren(t *testing.T) { mustEnd(t, "timers") }

func TestSiblingsDrawDifferentRandomBytes(t *testing.T) { mustEnd(t, "random") }

func TestChildrenEnd(t *testing.T) {
	for _, c := range []struct{ role, env string }{
		{"exec", ""},
		{"panic", ""},
		{"goexit panic", ""},
		{"fatal error", ""},
		{"overflow", ""},
		{"nil", ""},
		{"all stacks", ""},
		{"crash output", ""},
		{"quit", ""},
		{"quit", "GOTRACEBACK=all"},
		{"quit, crash", "GOTRACEBACK=crash"},
		{"abort", ""},
		{"abort", "GOTRACEBACK=all"},
		{"abort, crash", "GOTRACEBACK=crash"},
		{"term", ""},
		{"locked", ""},
		{"notify", ""},
		{"busy", ""},
		{"profile", ""},
	} {
		t.Run(strings.TrimSpace(c.role+" "+c.env), func(t *testing.T) {
			t.Parallel()
			mustEnd(t, c.role, c.env)
		})
	}
}
