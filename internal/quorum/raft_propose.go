package quorum

import (
	"context"
	"errors"
	"fmt"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
)

// Image is an image of the metadata.
type Image = *image.Image

// maxBatch bounds the decisions that share an entry. Each is decided on what those before it lead to.
const maxBatch = 64

// proposal is one call of Propose.
type proposal struct {
	ctx    context.Context
	decide Decide
	answer chan outcome // room for one
}

// Follow names who follows the metadata: start is called with the newest image, then each for every change after it, in
// order, before its proposer is answered and readers see it. It returns when start has. It must be called once at most.
func (r *Raft) Follow(ctx context.Context, start func(Image), each Applied) error {
	f := &following{start: start, each: each, begun: make(chan struct{})}
	r.changes.push(telling{follow: f})
	select {
	case <-f.begun:
		return nil
	case <-r.done:
		return r.stopped()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Propose implements Log. Only the active controller decides.
func (r *Raft) Propose(ctx context.Context, decide Decide) (*image.Image, error) {
	p := &proposal{ctx: ctx, decide: decide, answer: make(chan outcome, 1)}
	select {
	case r.proposals <- p:
	case <-r.done:
		return nil, r.stopped()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case o := <-p.answer:
		return o.image, o.err
	case <-r.done:
		return nil, r.stopped()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// decide takes the proposals that wait, decides them one after the other, and makes one entry of them. As with one
// voter, the next ones are decided when that is applied.
func (r *Raft) decide() {
	var first *proposal
	for {
		if first == nil {
			select {
			case first = <-r.proposals:
			case <-r.done:
				return
			}
		}
		batch := []*proposal{first}
		first = nil
	gather:
		for len(batch) < maxBatch {
			select {
			case p := <-r.proposals:
				batch = append(batch, p)
			default:
				break gather
			}
		}
		for len(batch) > 0 && r.failure.Load() == nil {
			batch = r.decideSome(batch)
		}
	}
}

// decision is an entry in the making.
type decision struct {
	term     uint64
	base     *image.Image // what it is decided on
	image    *image.Image // what it leads to
	commands []*command.Command
	data     []byte
	answers  []answer
}

// answer is what a proposal hears when the entry is applied: err, if that was its own decision.
type answer struct {
	p   *proposal
	err error
}

// decideSome decides proposals until an entry is full, commits it, and returns those that are left.
func (r *Raft) decideSome(batch []*proposal) (rest []*proposal) {
	d, err := r.begin()
	if err != nil {
		for _, p := range batch {
			p.answer <- outcome{err: err}
		}
		return nil
	}
	for i, p := range batch {
		if p.ctx.Err() != nil {
			continue // it has gone
		}
		if !d.add(p, r.opts.ClusterID) {
			rest = batch[i:]
			break
		}
	}
	o := r.commit(d)
	for _, a := range d.answers {
		if o.err == nil {
			a.p.answer <- outcome{image: o.image, err: a.err}
		} else {
			a.p.answer <- o
		}
	}
	return rest
}

// begin looks at the member for what a decision starts from.
func (r *Raft) begin() (*decision, error) {
	var d *decision
	err := r.do(context.Background(), func() {
		if r.member.Active() {
			im := r.member.Image()
			d = &decision{term: r.known.term, base: im, image: im}
		}
	})
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, r.notController()
	}
	return d, nil
}

func (r *Raft) notController() error {
	l := r.leader.Load()
	e := &NotControllerError{Leader: noNode, Term: l.term}
	if l.known && l.replica != r.opts.Self {
		e.Leader = l.replica.Node
	}
	return e
}

// add decides one more proposal; false if the entry is full. All that can be found wrong with a proposal is found here,
// before anything is written.
func (d *decision) add(p *proposal, cluster string) bool {
	commands, err := p.decide(d.image)
	if err != nil || len(commands) == 0 {
		d.answers = append(d.answers, answer{p, err})
		return true
	}
	all := append(d.commands[:len(d.commands):len(d.commands)], commands...)
	data, err := command.Encode(cluster, all)
	if err == nil && len(data) > maxEntryBytes {
		if len(d.commands) > 0 {
			return false
		}
		err = fmt.Errorf("%w: %d bytes, the most is %d", ErrTooLarge, len(data), maxEntryBytes)
	}
	var next *image.Image
	if err == nil {
		next, _, err = image.Apply(d.base, all, d.term, d.base.Index()+1)
	}
	if err != nil {
		d.answers = append(d.answers, answer{p, err})
		return true
	}
	d.commands, d.data, d.image = all, data, next
	d.answers = append(d.answers, answer{p, nil})
	return true
}

// commit puts the entry into the log and waits until it is applied. Without one it makes sure that this was still the
// controller: a refusal, too, must not come from a leader who was deposed without knowing.
func (r *Raft) commit(d *decision) outcome {
	if len(d.commands) == 0 {
		if err := r.confirm(); err != nil {
			return outcome{err: err}
		}
		return outcome{image: d.base}
	}
	if r.full.Load() {
		return outcome{err: ErrNoSpace}
	}
	return r.await(context.Background(), func() (index, term uint64, err error) {
		if r.known.term != d.term {
			return 0, 0, r.member.notController()
		}
		index, term, err = r.member.Propose(d.data)
		if errors.Is(err, ErrBusy) { // it hands over just now
			err = r.member.notController()
		}
		return index, term, err
	})
}

// await makes an entry on the member's goroutine and waits until it is applied.
func (r *Raft) await(ctx context.Context, propose func() (index, term uint64, err error)) outcome {
	result := make(chan outcome, 1)
	err := r.do(ctx, func() {
		index, term, err := propose()
		if err != nil {
			result <- outcome{err: err}
			return
		}
		r.wait[index] = waiting{term: term, answer: result}
	})
	if err != nil {
		return outcome{err: err}
	}
	select {
	case o := <-result:
		return o
	case <-ctx.Done():
		return outcome{err: context.Cause(ctx)}
	case <-r.done:
		return outcome{err: r.stopped()}
	}
}
