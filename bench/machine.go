package main

import (
	"bufio"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// machine says where and when the figures were made.
type machine struct {
	Date       string `json:"date"`
	Processors int    `json:"processors"`
	Model      string `json:"model"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	Load       string `json:"load_average"` // before the run
}

func describeMachine() machine {
	return machine{
		Date:       time.Now().Format(time.DateOnly),
		Processors: processors(),
		Model:      processorModel(),
		Kernel:     kernel(),
		Go:         runtime.Version(),
		Load:       loadAverage(),
	}
}

// processors is how many there are for this program and the servers alike:
// they inherit its affinity.
func processors() int { return runtime.NumCPU() }

func processorModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func kernel() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "unknown"
	}
	var b strings.Builder
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}

func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(data), " ")
	return one
}
