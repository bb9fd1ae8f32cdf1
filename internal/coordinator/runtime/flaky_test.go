package runtime

import (
	"sync"

	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/wal"
)

// flawed is a replica that fails.
type flawed struct {
	*replica.Replica
	f *flaky
}

// flaky is how a replica fails.
type flaky struct {
	mu        sync.Mutex
	refuse    func() error      // what appends are refused with
	verdict   func(error) error // what waiters are told instead
	hold      bool              // waiters are told when it is over
	held      []func()
	leads     error         // what Leads says
	watermark *model.Offset // what the watermark is believed to be
	read      func() error  // what reads fail with
}

func (p flawed) Append(a replica.Append) (wal.Appended, error) {
	f := p.f
	f.mu.Lock()
	refuse := f.refuse
	f.mu.Unlock()
	if refuse != nil {
		if err := refuse(); err != nil {
			return wal.Appended{}, err
		}
	}
	if a.Waiter != nil {
		a.Waiter = told{f, a.Waiter}
	}
	return p.Replica.Append(a)
}

func (p flawed) Leads(e model.LeaderEpoch) error {
	p.f.mu.Lock()
	err := p.f.leads
	p.f.mu.Unlock()
	if err != nil {
		return err
	}
	return p.Replica.Leads(e)
}

func (p flawed) HighWatermark() model.Offset {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	if p.f.watermark != nil {
		return *p.f.watermark
	}
	return p.Replica.HighWatermark()
}

func (p flawed) Read(q replica.ReadRequest) (replica.ReadResult, error) {
	p.f.mu.Lock()
	read := p.f.read
	p.f.mu.Unlock()
	if read != nil {
		if err := read(); err != nil {
			return replica.ReadResult{}, err
		}
	}
	return p.Replica.Read(q)
}

// change changes how it fails.
func (f *flaky) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

// release tells those that were held.
func (f *flaky) release() {
	f.mu.Lock()
	f.hold = false
	held := f.held
	f.held = nil
	f.mu.Unlock()
	for _, tell := range held {
		tell()
	}
}

// told passes on what a waiter is told.
type told struct {
	f *flaky
	w wal.Waiter
}

// Done implements wal.Waiter.
func (d told) Done(err error) {
	d.f.mu.Lock()
	if d.f.verdict != nil {
		err = d.f.verdict(err)
	}
	if d.f.hold {
		d.f.held = append(d.f.held, func() { d.w.Done(err) })
		d.f.mu.Unlock()
		return
	}
	d.f.mu.Unlock()
	d.w.Done(err)
}
