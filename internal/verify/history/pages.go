package history

import (
	"container/list"
	"fmt"
	"io"
)

// pageSize is how much goes to the spill file at a time.
const pageSize = 32 << 10

// Spill keeps the pages for which there is no room in memory. Nobody else may write to it.
type Spill interface {
	io.ReaderAt
	io.WriterAt
}

// pages is sparse arrays of small cells, zero until written. Pages that were not used for long go to the spill.
type pages struct {
	spill Spill // nil: all stay in memory
	limit int
	held  map[pageKey]*list.Element
	used  *list.List // of *page, the last used in front
	place map[pageKey]int64
	end   int64
	err   error // the first of the spill's
}

type pageKey struct {
	array  int
	number int64
}

type page struct {
	key   pageKey
	bytes []byte
	dirty bool
}

var zeros [pageSize]byte

func newPages(limit int, spill Spill) *pages {
	return &pages{spill: spill, limit: max(limit, 4), held: map[pageKey]*list.Element{}, used: list.New(), place: map[pageKey]int64{}}
}

// cell returns the bytes of a cell, valid until the next call. Without write they must not be changed.
func (p *pages) cell(array, width int, index int64, write bool) []byte {
	per := int64(pageSize / width)
	at := int(index%per) * width
	return p.page(pageKey{array, index / per}, write)[at : at+width : at+width]
}

func (p *pages) page(key pageKey, write bool) []byte {
	if e, ok := p.held[key]; ok {
		p.used.MoveToFront(e)
		pg := e.Value.(*page)
		pg.dirty = pg.dirty || write
		return pg.bytes
	}
	at, spilled := p.place[key]
	if !spilled && !write {
		return zeros[:]
	}
	pg := &page{key: key, dirty: write}
	if p.spill != nil && p.used.Len() >= p.limit {
		pg.bytes = p.evict()
	} else {
		pg.bytes = make([]byte, pageSize)
	}
	if spilled {
		if _, err := p.spill.ReadAt(pg.bytes, at); err != nil {
			clear(pg.bytes)
			p.fail(err)
		}
	} else {
		clear(pg.bytes)
	}
	p.held[key] = p.used.PushFront(pg)
	return pg.bytes
}

// evict makes room, and returns a buffer to use again.
func (p *pages) evict() []byte {
	e := p.used.Back()
	pg := p.used.Remove(e).(*page)
	delete(p.held, pg.key)
	if pg.dirty {
		at, ok := p.place[pg.key]
		if !ok {
			at = p.end
			p.end += pageSize
			p.place[pg.key] = at
		}
		if _, err := p.spill.WriteAt(pg.bytes, at); err != nil {
			p.fail(err)
		}
	}
	return pg.bytes
}

func (p *pages) fail(err error) {
	if p.err == nil {
		p.err = fmt.Errorf("the history does not fit in memory and its file fails, the verdict would be wrong: %w", err)
	}
}
