package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"chronik/internal/vfs"
)

// ErrDamaged: the journal cannot be trusted to say what may be written again.
var ErrDamaged = errors.New("the journal is damaged")

// Contents is what a journal holds.
type Contents struct {
	// Ranges are what must be written again, in the order in which it was written, without what was voided.
	Ranges []Range
	// Rot is damage that is no torn end, nil if there is none: records that were durable are missing from
	// Ranges.
	Rot error
	// Empty: the files hold nothing at all, not even what need not be written again.
	Empty bool
}

// Read reads a journal. A torn last record was never promised to anybody and is not mentioned. The error matches
// ErrDamaged if a record is lost that would have said what does not count any more: then nothing may be written.
func Read(fsys vfs.FS, dir string) (Contents, error) {
	s := scan{out: Contents{Empty: true}}
	var laps []lap
	for _, name := range fileNames {
		b, err := readHalf(fsys, path.Join(dir, name))
		if err != nil {
			return Contents{}, err
		}
		if len(b) > 0 {
			s.out.Empty = false
		}
		head, ok, err := decodeLap(b)
		if err != nil {
			return Contents{}, fmt.Errorf("%s: %w", path.Join(dir, name), err)
		}
		if ok {
			laps = append(laps, lap{head, b})
		}
	}
	slices.SortFunc(laps, func(a, b lap) int { return int(a.head.gen) - int(b.head.gen) })
	for i := range laps {
		s.lap(&laps[i])
	}
	if s.lostVoid {
		return Contents{}, fmt.Errorf("%w: %w", ErrDamaged, s.out.Rot)
	}
	for _, r := range s.records {
		for _, e := range r.ranges {
			if r.seq > s.voided[e.Key] {
				s.out.Ranges = append(s.out.Ranges, e)
			}
		}
	}
	return s.out, nil
}

// lap is one half as it was found.
type lap struct {
	head  lapHeader
	bytes []byte
}

type found struct {
	seq    uint64
	ranges []Range
}

// scan walks the laps, the older first.
type scan struct {
	out      Contents
	records  []found
	voided   map[Key]uint64 // what was added before this sequence number does not count
	next     uint64         // the sequence number that must come; 0: not known yet
	lostVoid bool
}

func (s *scan) lap(l *lap) {
	s.expect(l.head.firstSeq, l.head.lastVoid)
	for at := int64(pageBytes); at < int64(len(l.bytes)); {
		h, ranges, ok := recordAt(l, at)
		if !ok || h.seq < s.next {
			at += pageBytes // the torn end, or what an older lap has left; what is valid behind it shows rot
			continue
		}
		s.expect(h.seq, h.lastVoid)
		s.next = h.seq + 1
		at += pages(h.size())
		if h.kind == kindRanges {
			s.records = append(s.records, found{h.seq, ranges})
			continue
		}
		if s.voided == nil {
			s.voided = make(map[Key]uint64)
		}
		for _, r := range ranges {
			s.voided[r.Key] = h.seq
		}
	}
}

// expect takes note of a sequence number, and of a gap before it. lastVoid is what is known there of voids.
func (s *scan) expect(seq, lastVoid uint64) {
	if s.next > 0 && seq > s.next {
		lost := fmt.Errorf("records %d to %d of the journal are damaged", s.next, seq-1)
		s.out.Rot = errors.Join(s.out.Rot, lost)
		s.lostVoid = s.lostVoid || lastVoid >= s.next && lastVoid < seq
	}
	s.next = max(s.next, seq)
}

// recordAt reads the record at a page boundary.
func recordAt(l *lap, at int64) (recordHead, []Range, bool) {
	h, ok := decodeHead(l.bytes[at:], &l.head)
	if !ok || h.size() > int64(len(l.bytes))-at {
		return h, nil, false
	}
	ranges, ok := decodeBody(&h, l.bytes[at+headBytes:at+h.size()], l.head.secret)
	return h, ranges, ok
}

// Clear empties a journal durably, so that nothing in it is ever written again.
func Clear(fsys vfs.FS, dir string) error {
	order := fileNames[:]
	if gens, err := generations(fsys, dir); err != nil {
		return err
	} else if gens[0] > gens[1] {
		order = []string{fileNames[1], fileNames[0]} // the older first: what voids its records lies in the younger
	}
	for _, name := range order {
		f, err := fsys.Open(path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = errors.Join(empty(f), f.Close())
		}
		if err != nil {
			return fmt.Errorf("emptying %s: %w", path.Join(dir, name), err)
		}
	}
	return nil
}

// empty takes away what a half holds. The header goes first, durably: a crash must not leave a lap of which some records are
// missing.
func empty(f vfs.File) error {
	size, err := f.Size()
	if err == nil && size > 0 {
		_, err = f.WriteAt(zeros[:min(size, pageBytes)], 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

func generations(fsys vfs.FS, dir string) (gens [halves]uint64, err error) {
	for i, name := range fileNames {
		b, err := readHalf(fsys, path.Join(dir, name))
		if err != nil {
			return gens, err
		}
		if h, ok, _ := decodeLap(b); ok {
			gens[i] = h.gen
		}
	}
	return gens, nil
}

// readHalf returns what is in a half; nothing if there is none.
func readHalf(fsys vfs.FS, name string) ([]byte, error) {
	b, err := vfs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}
