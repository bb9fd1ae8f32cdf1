package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTicks is the unit of utime and stime in /proc/PID/stat. Linux fixes USER_HZ at 100 for user
// space on every platform that Go runs on.
const clockTicks = 100

// Usage is what a process, or several, had used at one moment.
type Usage struct {
	CPU                 time.Duration
	RSS                 int64 // resident bytes
	WriteChars          int64 // bytes given to write calls
	WriteBytes          int64 // bytes sent towards the disk
	ReadChars           int64
	ReadBytes           int64 // bytes fetched from the disk
	VoluntarySwitches   int64
	InvoluntarySwitches int64
}

// Processes are the broker's processes on this machine: one, or one for each node of a cluster.
type Processes []int

// Usage measures all of them, from /proc, and returns the sum.
func (ps Processes) Usage() (sum Usage, err error) {
	for _, pid := range ps {
		u, err := readUsage(pid)
		if err != nil {
			return sum, err
		}
		sum.CPU += u.CPU
		sum.RSS += u.RSS
		sum.WriteChars += u.WriteChars
		sum.WriteBytes += u.WriteBytes
		sum.ReadChars += u.ReadChars
		sum.ReadBytes += u.ReadBytes
		sum.VoluntarySwitches += u.VoluntarySwitches
		sum.InvoluntarySwitches += u.InvoluntarySwitches
	}
	return sum, nil
}

func readUsage(pid int) (Usage, error) {
	var u Usage
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u, fmt.Errorf("--broker-pid %d: no such process on this machine: %w", pid, err)
	}
	if u.CPU, err = parseStat(stat); err != nil {
		return u, err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u, err
	}
	fields := parseColons(status)
	u.RSS = fields["VmRSS"] * 1024
	u.VoluntarySwitches, u.InvoluntarySwitches = fields["voluntary_ctxt_switches"], fields["nonvoluntary_ctxt_switches"]
	io, err := os.ReadFile(dir + "/io")
	if errors.Is(err, os.ErrPermission) {
		return u, nil // another user's process: its CPU and memory are readable, its I/O is not
	}
	if err != nil {
		return u, err
	}
	fields = parseColons(io)
	u.WriteChars, u.WriteBytes = fields["wchar"], fields["write_bytes"]
	u.ReadChars, u.ReadBytes = fields["rchar"], fields["read_bytes"]
	return u, nil
}

// parseStat returns utime+stime. The command name, in parentheses, may itself hold blanks and parentheses.
func parseStat(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("/proc stat has an unknown form: %q", stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * time.Second / clockTicks, nil
}

// parseColons reads "name: number" lines and leaves out all others.
func parseColons(text []byte) map[string]int64 {
	m := make(map[string]int64)
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); len(f) > 0 {
			if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
				m[name] = n
			}
		}
	}
	return m
}

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BrokerUsage is what the broker's processes used in the measured window, all together.
type BrokerUsage struct {
	PIDs                 Processes `json:"pids"`
	CPUSeconds           float64   `json:"cpu_seconds"`
	CPUSecondsPerMillion float64   `json:"cpu_seconds_per_million_records"`
	RSSBytes             int64     `json:"rss_bytes"` // at the end of the window
	WriteCharsPerByte    float64   `json:"write_chars_per_byte"`
	WriteBytesPerByte    float64   `json:"write_bytes_per_byte"`
	ReadBytes            int64     `json:"read_bytes"`
}

// Between relates two readings to the records and bytes (of keys and values) stored or read between them.
func (ps Processes) Between(before, after Usage, records, bytes int64) *BrokerUsage {
	u := &BrokerUsage{PIDs: ps, CPUSeconds: (after.CPU - before.CPU).Seconds(), RSSBytes: after.RSS, ReadBytes: after.ReadBytes - before.ReadBytes}
	if records > 0 {
		u.CPUSecondsPerMillion = u.CPUSeconds / float64(records) * 1e6
	}
	if bytes > 0 {
		u.WriteCharsPerByte = float64(after.WriteChars-before.WriteChars) / float64(bytes)
		u.WriteBytesPerByte = float64(after.WriteBytes-before.WriteBytes) / float64(bytes)
	}
	return u
}
