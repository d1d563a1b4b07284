package master

import (
	"os"
	"testing"
)

func TestTheKernelSaysWhatAProcessUses(t *testing.T) {
	p := readProcess(os.Getpid())
	if p.rss < 1<<20 || p.rss > 1<<40 || p.started == 0 || p.suspended {
		t.Errorf("this process: %+v", p)
	}
	if p := readProcess(-1); p != (process{}) {
		t.Errorf("no process: %+v", p)
	}
	w := &worker{}
	w.setProcess(process{rss: 1, cpu: 5, started: 7})
	w.setProcess(process{rss: 2, cpu: 4, started: 7})
	if w.process.rss != 2 || w.process.cpu != 5 {
		t.Errorf("the worker has %+v, want the newer figures and no time that goes back", w.process)
	}
	w.setProcess(process{rss: 3, started: 8}) // another process of the same number
	w.setProcess(process{})                   // gone
	if w.process.rss != 2 {
		t.Errorf("the worker has %+v", w.process)
	}
}
