package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"chronik/internal/vfs"

	"pgregory.net/rapid"
)

// The model knows of each file every image it had since its last sync, whole and naively, and of each name what it may
// stand for. It shares no code with the file system: no pages, no journal.

// fileModel is one file, whatever it is called.
type fileModel struct {
	handle vfs.File
	images [][]byte // since the last sync, the synced one first, the current one last

	// tainted: a sync failed, so the model trusts no later one. (The file system does where a page was written again.)
	tainted bool
}

func (m *fileModel) current() []byte { return m.images[len(m.images)-1] }

// world is the file system and its model.
type world struct {
	fs    *FS
	names map[string]*fileModel // as users see them

	// Per name what it stood for at the last directory sync and since (nil for nothing), and per file that had a name at
	// that sync the names it got since: it must be under one of them unless it was removed or replaced.
	history map[string][]*fileModel
	homes   map[*fileModel][]string
	doomed  map[*fileModel]bool // removed or replaced since
}

func newWorld(seed uint64) *world {
	w := &world{fs: New(seed), names: make(map[string]*fileModel)}
	w.settle()
	return w
}

// settle notes that all names are durable.
func (w *world) settle() {
	w.history = make(map[string][]*fileModel)
	w.homes = make(map[*fileModel][]string)
	w.doomed = make(map[*fileModel]bool)
	for name, m := range w.names {
		w.history[name] = []*fileModel{m}
		w.homes[m] = []string{name}
	}
}

// set makes name stand for m from now on.
func (w *world) set(name string, m *fileModel) {
	if replaced := w.names[name]; replaced != nil && m != nil {
		w.doomed[replaced] = true
	}
	if len(w.history[name]) == 0 {
		w.history[name] = []*fileModel{nil}
	}
	w.history[name] = append(w.history[name], m)
	if m == nil {
		delete(w.names, name)
		return
	}
	w.names[name] = m
	if w.homes[m] != nil {
		w.homes[m] = append(w.homes[m], name)
	}
}

var nameGen = rapid.SampledFrom([]string{"a", "b", "c", "d"})

func (w *world) anyFile(t *rapid.T) (string, *fileModel) {
	if len(w.names) == 0 {
		t.Skip("there is no file")
	}
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(w.names))).Draw(t, "file")
	return name, w.names[name]
}

func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create": w.create, "write": w.write, "truncate": w.truncate, "sync": w.sync, "failedSync": w.failedSync,
		"rename": w.rename, "remove": w.remove, "syncDir": w.syncDir, "crash": w.crash, "": w.checkLive,
	}
}

func (w *world) create(t *rapid.T) {
	name := nameGen.Draw(t, "name")
	h, err := w.fs.Create(name)
	if w.names[name] != nil {
		if err == nil {
			t.Fatalf("%s created twice", name)
		}
		return
	}
	check(t, err)
	w.set(name, &fileModel{handle: h, images: [][]byte{nil}})
}

func (w *world) write(t *rapid.T) {
	_, m := w.anyFile(t)
	off := rapid.IntRange(0, 9000).Draw(t, "off")
	p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(1, 6000).Draw(t, "len"))
	cut := rapid.IntRange(0, len(p)).Draw(t, "cut")
	_, err := m.handle.WriteVAt([][]byte{p[:cut], p[cut:]}, int64(off))
	check(t, err)
	image := make([]byte, max(len(m.current()), off+len(p)))
	copy(image, m.current())
	copy(image[off:], p)
	m.images = append(m.images, image)
}

func (w *world) truncate(t *rapid.T) {
	_, m := w.anyFile(t)
	size := rapid.IntRange(0, 12_000).Draw(t, "size")
	check(t, m.handle.Truncate(int64(size)))
	image := make([]byte, size)
	copy(image, m.current())
	m.images = append(m.images, image)
}

func (w *world) sync(t *rapid.T) {
	_, m := w.anyFile(t)
	check(t, m.handle.Sync())
	if !m.tainted {
		m.images = [][]byte{m.current()}
	}
}

func (w *world) failedSync(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "chance") > 0 {
		t.Skip("failed syncs are rare")
	}
	_, m := w.anyFile(t)
	m.handle.(*file).SyncFailed()
	m.tainted = true
}

func (w *world) rename(t *rapid.T) {
	from, m := w.anyFile(t)
	to := nameGen.Draw(t, "to")
	check(t, w.fs.Rename(from, to))
	if from != to {
		w.set(to, m)
		w.set(from, nil)
	}
}

func (w *world) remove(t *rapid.T) {
	name, m := w.anyFile(t)
	check(t, w.fs.Remove(name))
	w.doomed[m] = true
	w.set(name, nil)
}

func (w *world) syncDir(t *rapid.T) {
	check(t, w.fs.SyncDir("/"))
	w.settle()
}

// checkLive compares what users see with the model.
func (w *world) checkLive(t *rapid.T) {
	for name, m := range w.names {
		if got := contentOf(t, w.fs, name); !bytes.Equal(got, m.current()) {
			t.Fatalf("%s: users see other bytes than were written", name)
		}
	}
}

// crash looks at one disk that a crash may leave; sometimes life goes on from there.
func (w *world) crash(t *rapid.T) {
	mode := rapid.SampledFrom([]Mode{Random, Random, Lose, Keep}).Draw(t, "mode")
	disk := w.fs.CrashClone(mode)
	entries, err := disk.ReadDir("/")
	check(t, err)
	if want := w.namesAfter(mode); want != nil && !slices.EqualFunc(entries, want, isNamed) {
		t.Fatalf("mode %d leaves %v, want %v", mode, entries, want)
	}
	found := make(map[string]*fileModel)
	for _, e := range entries {
		content := contentOf(t, disk, e.Name)
		var why []error
		for _, m := range w.history[e.Name] {
			if m == nil {
				continue
			}
			err := m.admits(content, mode)
			if err == nil {
				found[e.Name] = m
				break
			}
			why = append(why, err)
		}
		if found[e.Name] == nil {
			t.Fatalf("%s (%d bytes) is nothing that ever had the name: %v", e.Name, len(content), errors.Join(why...))
		}
	}
	for name, h := range w.history {
		if len(h) == 1 && found[name] == nil {
			t.Fatalf("%s is gone though its entry was synced and not touched since", name)
		}
	}
	for m, homes := range w.homes {
		at := slices.IndexFunc(homes, func(name string) bool {
			content, err := disk.Open(name)
			return err == nil && content != nil && m.admits(contentOf(t, disk, name), mode) == nil
		})
		if !w.doomed[m] && at < 0 {
			t.Fatalf("a file is under none of its names %q", homes)
		}
	}
	if rapid.Bool().Draw(t, "goOn") {
		w.restart(t, disk, found)
	}
}

// namesAfter is what a directory holds after a crash in which all is lost or nothing, and nil where that is open.
func (w *world) namesAfter(m Mode) []string {
	durable := maps.Collect(maps.All(w.names))
	switch m {
	case Random:
		return nil
	case Lose:
		for name, h := range w.history {
			if delete(durable, name); h[0] != nil {
				durable[name] = h[0]
			}
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(durable))...)
}

func isNamed(e vfs.DirEntry, name string) bool { return e.Name == name && !e.IsDir }

// restart goes on with the disk, all of whose content is durable.
func (w *world) restart(t *rapid.T, disk *FS, found map[string]*fileModel) {
	w.fs.Crash(Lose)
	w.fs = disk
	w.names = make(map[string]*fileModel)
	for name := range found {
		h, err := disk.Open(name)
		check(t, err)
		w.names[name] = &fileModel{handle: h, images: [][]byte{contentOf(t, disk, name)}}
	}
	w.settle()
}

// admits tells whether a crash may leave content: a length that the file had, and each sector as it was in some image.
func (m *fileModel) admits(content []byte, mode Mode) error {
	switch {
	case mode == Keep && !bytes.Equal(content, m.current()):
		return errors.New("not what was written")
	case mode == Lose && !m.tainted && !bytes.Equal(content, m.images[0]):
		return errors.New("not what was synced")
	}
	if !slices.ContainsFunc(m.images, func(image []byte) bool { return len(image) == len(content) }) {
		return fmt.Errorf("never had the length %d", len(content))
	}
	for at := 0; at < len(content); at += vfs.SectorSize {
		sector := content[at:min(at+vfs.SectorSize, len(content))]
		ok := slices.ContainsFunc(m.images, func(image []byte) bool {
			want := make([]byte, len(sector))
			copy(want, image[min(at, len(image)):])
			return bytes.Equal(sector, want)
		})
		if !ok {
			return fmt.Errorf("the sector at %d was never so", at)
		}
	}
	return nil
}

func contentOf(t *rapid.T, f *FS, name string) []byte {
	h, err := f.Open(name)
	check(t, err)
	size, err := h.Size()
	check(t, err)
	p := make([]byte, size)
	if n, _ := h.ReadAt(p, 0); n != len(p) {
		t.Fatalf("%s: read %d of %d bytes", name, n, size)
	}
	return p
}

func check(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestModel runs random calls and crashes against the model: what was synced is always there, what was not is old or new.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.Uint64().Draw(t, "seed"))
		t.Repeat(w.actions())
	})
}
