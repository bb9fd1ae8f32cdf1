package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"chronik/internal/bench/disk"
)

// Result is everything that a run has to say. Its JSON form is what other programs read.
type Result struct {
	Driver  string    `json:"driver"` // the client library that carried the records
	Options Options   `json:"options"`
	Started time.Time `json:"started"`
	Topic   string    `json:"topic"`

	WindowSeconds float64 `json:"window_seconds"`
	Records       int64   `json:"records"` // commits, transactions, or records acknowledged, sent (acks=0) or received within the window
	RecordsPerSec float64 `json:"records_per_second"`
	MBPerSec      float64 `json:"mb_per_second"` // keys and values, 10^6 bytes

	Latency *LatencySummary `json:"latency,omitempty"`         // produce: to the acknowledgement; round-trip: to the consumer
	Join    *LatencySummary `json:"join_to_stable,omitempty"`  // mode members
	Leave   *LatencySummary `json:"leave_to_stable,omitempty"` // likewise
	Ack     *LatencySummary `json:"ack_latency,omitempty"`

	ClientCPUSecondsPerMillion float64       `json:"client_cpu_seconds_per_million_records"`
	Broker                     *BrokerUsage  `json:"broker,omitempty"`
	Disk                       *disk.Info    `json:"disk,omitempty"`
	Verification               *Verification `json:"verification"`
}

// SetWindow fills in the rates of a window in which records of recordBytes each were counted.
func (r *Result) SetWindow(w Window, recordBytes float64, broker Processes) {
	r.WindowSeconds, r.Records = w.Seconds, w.Records
	bytes := float64(w.Records) * recordBytes
	if w.Seconds > 0 {
		r.RecordsPerSec, r.MBPerSec = float64(w.Records)/w.Seconds, bytes/w.Seconds/1e6
	}
	if w.Records > 0 {
		r.ClientCPUSecondsPerMillion = w.OwnCPU.Seconds() / float64(w.Records) * 1e6
	}
	if len(broker) > 0 {
		r.Broker = broker.Between(w.brokerFrom, w.brokerTo, w.Records, int64(bytes))
	}
}

// WriteJSON writes the result as indented JSON.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the result for a person.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-13s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("load", "%s", r.Options.describe())
	switch r.Options.Mode {
	case Commit, Transact:
		line("throughput", "%.0f %ss/s (%d in %.1f s)", r.RecordsPerSec, r.Options.Mode, r.Records, r.WindowSeconds)
	case Members:
		line("join", "to stable: %s (%d times)", r.Join, r.Join.Count)
		line("leave", "to stable: %s", r.Leave)
	default:
		line("throughput", "%.0f records/s, %.1f MB/s (%d records in %.1f s)", r.RecordsPerSec, r.MBPerSec, r.Records, r.WindowSeconds)
	}
	if r.Latency != nil {
		line("latency", "%s", r.Latency)
	}
	if r.Ack != nil {
		line("ack latency", "%s", r.Ack)
	}
	if u := r.Broker; u != nil {
		line("broker", "%.2f CPU seconds per million records, %.0f MB resident, %.2f bytes written per byte (%.2f towards the disk)",
			u.CPUSecondsPerMillion, float64(u.RSSBytes)/1e6, u.WriteCharsPerByte, u.WriteBytesPerByte)
	}
	line("client", "%.2f CPU seconds per million records", r.ClientCPUSecondsPerMillion)
	if r.Disk != nil {
		line("disk", "%s", r.Disk)
	}
	line("verification", "%s", r.Verification)
	_, err := io.WriteString(w, b.String())
	return err
}

// describe says what was asked for, in one line.
func (o *Options) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d x %d B", o.Mode, o.Concurrency, o.MessageSize)
	if o.Rate > 0 {
		b.Reset()
		fmt.Fprintf(&b, "%s, open loop %.0f/s x %d B", o.Mode, o.Rate, o.MessageSize)
	}
	if o.Mode == Consume {
		b.Reset()
		fmt.Fprintf(&b, "%s", o.Mode)
	}
	switch o.Mode {
	case Members:
		return fmt.Sprintf("%s, %d + 1 over %d partition(s), %s, heartbeats each %s", o.Mode, o.Members, o.Partitions, o.Protocol, o.Heartbeat)
	case Commit:
		return fmt.Sprintf("%s, %d outstanding, %d connection(s)", o.Mode, o.Concurrency, o.Connections)
	case Transact:
		return fmt.Sprintf("%s, %d producer(s) x %d x %d B, %d partition(s)", o.Mode, o.Concurrency, o.Batch, o.MessageSize, o.Partitions)
	}
	fmt.Fprintf(&b, ", %d connection(s), %d partition(s)", o.Connections, o.Partitions)
	if o.Mode != Consume {
		fmt.Fprintf(&b, ", acks=%d, linger %s, max in flight %d, compression %s", o.Acks, o.Linger, o.MaxInFlight, o.Compression)
	}
	if o.Blocking {
		b.WriteString(", blocking senders")
	}
	if o.Idempotence {
		b.WriteString(", idempotent")
	}
	if o.Keys > 0 {
		fmt.Fprintf(&b, ", %d keys", o.Keys)
	}
	return b.String()
}
