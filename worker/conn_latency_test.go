package worker

import (
	"context"
	"io"
	"strings"
	"testing"

	"prefork/ipc"
)

// counted returns the sum of a histogram.
func counted(h *ipc.Histogram) (n uint64) {
	for i := range h.Counts {
		n += h.Counts[i].Load()
	}
	return n
}

func TestEachAnswerIsCountedOnce(t *testing.T) {
	for name, h := range map[string]Handler{
		"by Read and Write": echo,
		"by io.Copy": HandlerFunc(func(_ context.Context, c *Conn) error {
			_, err := io.Copy(c, c)
			return err
		}),
		"in pieces": HandlerFunc(func(_ context.Context, c *Conn) error {
			buf := make([]byte, 8)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return err
				}
				for i := range n {
					if _, err := c.Write(buf[i : i+1]); err != nil {
						return err
					}
				}
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			r := accepting(t, Config{}, Options{Handler: h})
			c := r.dial(0)
			for range 5 {
				ask(t, c, "abc", "abc")
			}
			eventually(t, "five answers", func() bool { return counted(&r.slot.Latency) == 5 && r.slot.Latency.SumNS.Load() > 0 })
		})
	}
}

func TestAWriteWithoutARequestIsNoAnswer(t *testing.T) {
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		_, err := io.WriteString(c, "hello")
		return err
	})})
	if b, err := io.ReadAll(r.dial(0)); err != nil || string(b) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
	eventually(t, "the connection's end", func() bool { return counted(&r.slot.Age) == 1 })
	if n := counted(&r.slot.Latency); n != 0 {
		t.Errorf("a greeting was counted as %d answers", n)
	}
}

func TestAReportNamesTheLongestAnswer(t *testing.T) {
	release := make(chan struct{})
	r := accepting(t, Config{}, Options{Handler: HandlerFunc(func(_ context.Context, c *Conn) error {
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		c.Doing("GET /\x1b[31m " + string(b) + strings.Repeat("x", 10_000))
		if string(b) == "slow1" {
			<-release
		}
		_, err := c.Write(b)
		return err
	})})
	first, begun := r.dial(0), ipc.Now()
	if _, err := io.WriteString(first, "slow1"); err != nil {
		t.Fatal(err)
	}
	doing := ""
	eventually(t, "a report of the answer", func() bool {
		doing = r.slot.Doing.Load()
		return strings.Contains(doing, "slow1") && r.slot.DoingSince.Load() != 0
	})
	want := first.LocalAddr().String() + " GET /?[31m slow1xxx"
	if since := r.slot.DoingSince.Load(); !strings.HasPrefix(doing, want) || since < begun || since > ipc.Now() {
		t.Errorf("the report has %q since %d, want %q and more, since %d or later", doing, since, want, begun)
	}
	ask(t, r.dial(0), "quick", "quick")
	close(release)
	eventually(t, "a report of no answer", func() bool { return r.slot.DoingSince.Load() == 0 })
}
