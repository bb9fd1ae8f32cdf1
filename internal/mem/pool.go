package mem

import (
	"context"
	"math/bits"
	"sync"
)

const (
	minClassBits = 10 // 1 KiB
	maxClassBits = 24 // 16 MiB
	numClasses   = maxClassBits - minClassBits + 1

	// MaxPooled is the size of the largest buffer that is kept for reuse, in bytes. Larger ones are made to
	// measure and left to the garbage collector: they are rare, and keeping them would pin memory for nothing.
	MaxPooled = 1 << maxClassBits
)

// Pool hands out buffers and takes them back. Sizes are rounded up to powers of two.
type Pool struct {
	budget  *Budget
	classes [numClasses]sync.Pool // of *Buf, so that putting one back does not allocate
}

// NewPool makes a pool whose Acquire and TryAcquire charge budget. Without one (nil) they never wait or refuse.
func NewPool(budget *Budget) *Pool { return &Pool{budget: budget} }

var shared = NewPool(nil)

// Get takes a buffer of n bytes from the pool of the process, which charges no budget. The bytes have any content.
// The caller holds the only reference.
func Get(n int) *Buf { return shared.Get(n) }

// Get takes a buffer of n bytes without charging the budget, for memory that is bounded in another way. The bytes
// have any content. The caller holds the only reference.
func (p *Pool) Get(n int) *Buf { return p.take(n, 0) }

// Acquire takes a buffer of n bytes as soon as the budget has room for its Footprint. It waits for that in the order of
// the calls. The charge returns with the last Release. It fails with ErrOverBudget if no amount of waiting helps, and with
// ctx's error when that ends first.
func (p *Pool) Acquire(ctx context.Context, n int) (*Buf, error) {
	if p.budget == nil {
		return p.Get(n), nil
	}
	charge := int64(Footprint(n))
	if err := p.budget.Acquire(ctx, charge); err != nil {
		return nil, err
	}
	return p.take(n, charge), nil
}

// TryAcquire is Acquire that does not wait: false if the budget has no room now, or others wait for it.
func (p *Pool) TryAcquire(n int) (*Buf, bool) {
	if p.budget == nil {
		return p.Get(n), true
	}
	charge := int64(Footprint(n))
	if !p.budget.TryAcquire(charge) {
		return nil, false
	}
	return p.take(n, charge), true
}

// Footprint is how many bytes of memory a buffer of n bytes takes, which is what it is charged as: less than twice n,
// and at least 1 KiB.
func Footprint(n int) int {
	if class := classOf(n); class < numClasses {
		return 1 << (minClassBits + class)
	}
	return n
}

// classOf is the index of the smallest class that holds n bytes, numClasses if none does.
func classOf(n int) int {
	switch {
	case n <= 1<<minClassBits:
		return 0
	case n > MaxPooled:
		return numClasses
	}
	return bits.Len(uint(n-1)) - minClassBits
}

func (p *Pool) take(n int, charge int64) *Buf {
	class := classOf(n)
	var b *Buf
	if class < numClasses {
		b, _ = p.classes[class].Get().(*Buf)
	}
	if b == nil {
		b = &Buf{pool: p, class: class, mem: make([]byte, Footprint(n))}
	} else {
		b.checkPoison()
	}
	b.n = n
	b.charge = charge
	b.refs.Store(1)
	return b
}

// put takes back a buffer that has no holder left.
func (p *Pool) put(b *Buf) {
	charge := b.charge
	b.poison()
	if b.class < numClasses {
		p.classes[b.class].Put(b)
	}
	if charge > 0 {
		p.budget.Release(charge)
	}
}
