package bench

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	line := "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0\n"
	got, err := parseStat([]byte(line))
	if err != nil || got != 2*time.Second {
		t.Errorf("got %s, %v; want 2s: 150 user and 50 system ticks", got, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", "42 (x) S 1 2 3 4 5 6 7 8 9 10 x 50 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestReadUsage(t *testing.T) {
	u, err := Processes{os.Getpid()}.Usage()
	if err != nil || u.RSS < 1<<20 {
		t.Errorf("own process: %+v, %v", u, err)
	}
	if twice, err := (Processes{os.Getpid(), os.Getpid()}).Usage(); err != nil || twice.RSS < u.RSS*3/2 {
		t.Errorf("two processes together: %+v, %v; one: %+v", twice, err, u)
	}
	if _, err := (Processes{os.Getpid(), 1 << 30}).Usage(); err == nil {
		t.Error("a process that is not there was measured")
	}
}

func TestBetween(t *testing.T) {
	u := Processes{1}.Between(Usage{CPU: time.Second, WriteChars: 100}, Usage{CPU: 3 * time.Second, WriteChars: 1300, RSS: 7}, 500_000, 1000)
	if u.CPUSecondsPerMillion != 4 || u.WriteCharsPerByte != 1.2 || u.RSSBytes != 7 {
		t.Errorf("%+v", u)
	}
}
