package image

import (
	"context"
	"sync/atomic"
)

// Store is where the current image is found. Publish has one caller at a time; the rest any number.
type Store struct {
	now atomic.Pointer[published]
}

type published struct {
	image *Image
	next  chan struct{} // closed when the next one is there
}

// NewStore returns a store that holds the image.
func NewStore(m *Image) *Store {
	s := new(Store)
	s.now.Store(&published{image: m, next: make(chan struct{})})
	return s
}

// Load returns the current image.
func (s *Store) Load() *Image { return s.now.Load().image }

// Publish makes m the current image and wakes those who wait for it.
func (s *Store) Publish(m *Image) {
	old := s.now.Swap(&published{image: m, next: make(chan struct{})})
	close(old.next)
}

// Wait returns the first image that it sees at index or later, or the context's error.
func (s *Store) Wait(ctx context.Context, index uint64) (*Image, error) {
	for {
		p := s.now.Load()
		if p.image.index >= index {
			return p.image, nil
		}
		select {
		case <-p.next:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
