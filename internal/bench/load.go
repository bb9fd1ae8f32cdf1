package bench

// Load is the writing side of a run, carried by some client library. A driver of another library
// implements it and leaves the topic, the measuring, the verification and the report to this package.
type Load interface {
	// Start begins to write. The channel is closed once nothing is outstanding and nothing more will be
	// sent: after Halt, after Options.Records, or after the first failure.
	Start(Span) <-chan struct{}
	// Halt stops sending; what is outstanding is still waited for.
	Halt()
	// Acked counts the records acknowledged so far. It may be called at any time.
	Acked() int64
	// Accounts and Latencies hold what happened. They are called after Start's channel is closed.
	Accounts() []*Account
	Latencies() *Latencies
	// Close ends the connections.
	Close()
}

// Opener connects a Load to a topic. The load calls fail at the first record that fails, at most once
// per client, after which it sends nothing more.
type Opener func(o *Options, t Topic, gen *Generator, fail func()) (Load, error)
