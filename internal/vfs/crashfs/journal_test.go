package crashfs

import (
	"slices"
	"strings"
	"testing"
)

// outcomes runs setup and ops over many seeds and returns the different directory trees that crashes leave, each as
// "name=content" of its files, sorted. What setup does is durable.
func outcomes(t *testing.T, setup, ops func(f *FS)) []string {
	t.Helper()
	var found []string
	for seed := range uint64(300) {
		f := New(seed)
		setup(f)
		ops(f)
		var tree []string
		list(t, f.CrashClone(Random), "", &tree)
		found = append(found, strings.Join(tree, " "))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func list(t *testing.T, f *FS, dir string, into *[]string) {
	t.Helper()
	entries, err := f.ReadDir("/" + dir)
	must(t, err)
	for _, e := range entries {
		name := dir + e.Name
		if e.IsDir {
			*into = append(*into, name+"/")
			list(t, f, name+"/", into)
		} else {
			*into = append(*into, name+"="+read(t, f, name))
		}
	}
}

func TestDirectoryOutcomes(t *testing.T) {
	create := func(f *FS, name, content string) {
		h, err := f.Create(name)
		must(t, err)
		write(t, h, content, 0)
		must(t, h.Sync())
	}
	for _, c := range []struct {
		name       string
		setup, ops func(f *FS)
		want       []string
	}{{
		"two creates arrive in any order",
		func(*FS) {},
		func(f *FS) { create(f, "a", "1"); create(f, "b", "2") },
		[]string{"", "a=1", "a=1 b=2", "b=2"},
	}, {
		"a rename happens or not",
		func(f *FS) { put(t, f, "a", "1") },
		func(f *FS) { must(t, f.Rename("a", "b")) },
		[]string{"a=1", "b=1"},
	}, {
		"a replaced file is the old one or the new one",
		func(f *FS) { put(t, f, "a", "old") },
		func(f *FS) { create(f, "tmp", "new"); must(t, f.Rename("tmp", "a")) },
		[]string{"a=new", "a=old", "a=old tmp=new"},
	}, {
		"a name taken again does not lose the file that had it",
		func(f *FS) { put(t, f, "a", "1") },
		func(f *FS) { must(t, f.Rename("a", "b")); create(f, "a", "2") },
		[]string{"a=1", "a=2 b=1", "b=1"},
	}, {
		"a chain of renames keeps one name",
		func(f *FS) { put(t, f, "a", "1") },
		func(f *FS) { must(t, f.Rename("a", "b")); must(t, f.Rename("b", "c")) },
		[]string{"a=1", "b=1", "c=1"},
	}, {
		"a remove comes undone",
		func(f *FS) { put(t, f, "a", "1") },
		func(f *FS) { must(t, f.Remove("a")) },
		[]string{"", "a=1"},
	}, {
		"syncing a directory settles it",
		func(f *FS) { put(t, f, "a", "1") },
		func(f *FS) { must(t, f.Rename("a", "b")); must(t, f.SyncDir("/")); create(f, "c", "2") },
		[]string{"b=1", "b=1 c=2"},
	}, {
		"a move between directories is whole",
		func(f *FS) { put(t, f, "a", "1"); must(t, f.MkdirAll("d")) },
		func(f *FS) { must(t, f.Rename("a", "d/a")) },
		[]string{"a=1 d/", "d/ d/a=1"},
	}, {
		"and settled by the sync of one of them",
		func(f *FS) { put(t, f, "a", "1"); must(t, f.MkdirAll("d")) },
		func(f *FS) { must(t, f.Rename("a", "d/a")); must(t, f.SyncDir("d")) },
		[]string{"d/ d/a=1"},
	}, {
		"a sync settles what the synced changes build on",
		func(f *FS) { must(t, f.MkdirAll("d")) },
		func(f *FS) { create(f, "a", "1"); must(t, f.Rename("a", "d/a")); must(t, f.SyncDir("d")) },
		[]string{"d/ d/a=1"},
	}, {
		"a removed directory takes nothing along that was moved out of it",
		func(f *FS) { must(t, f.MkdirAll("d")); put(t, f, "d/a", "1"); must(t, f.SyncDir("d")) },
		func(f *FS) { must(t, f.Rename("d/a", "a")); must(t, f.Remove("d")) },
		[]string{"a=1", "a=1 d/", "d/ d/a=1"},
	}, {
		"a tree is removed in parts",
		func(f *FS) {
			must(t, f.MkdirAll("d"))
			put(t, f, "d/a", "1")
			put(t, f, "d/b", "2")
			must(t, f.SyncDir("d"))
		},
		func(f *FS) { must(t, f.RemoveAll("d")) },
		[]string{"", "d/", "d/ d/a=1", "d/ d/a=1 d/b=2", "d/ d/b=2"},
	}, {
		"making a directory is durable at once",
		func(*FS) {},
		func(f *FS) { must(t, f.MkdirAll("d/e")) },
		[]string{"d/ d/e/"},
	}, {
		"a synced file in a moved directory is found under one of its names",
		func(f *FS) { must(t, f.MkdirAll("d")); put(t, f, "d/a", "1"); must(t, f.SyncDir("d")) },
		func(f *FS) {
			must(t, f.Rename("d", "n"))
			create(f, "n/b", "2")
			must(t, f.SyncDir("n"))
		},
		[]string{"d/ d/a=1 d/b=2", "n/ n/a=1 n/b=2"},
	}, {
		"directories never end up inside each other",
		func(f *FS) { must(t, f.MkdirAll("a")); must(t, f.MkdirAll("b")) },
		func(f *FS) {
			must(t, f.Rename("a", "b/a"))
			must(t, f.Rename("b/a", "c"))
			must(t, f.Rename("b", "c/b"))
		},
		[]string{"a/ b/", "b/ b/a/", "b/ c/", "c/ c/b/"},
	}} {
		t.Run(c.name, func(t *testing.T) {
			if got := outcomes(t, c.setup, c.ops); !slices.Equal(got, c.want) {
				t.Errorf("crashes leave\n%q\nwant\n%q", got, c.want)
			}
		})
	}
}
