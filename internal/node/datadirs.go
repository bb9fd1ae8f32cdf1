package node

import (
	"errors"
	"io/fs"
	"path"

	"chronik/internal/vfs"
)

// dirsName is the directory, in the first data directory, of the notes on which others there are: an empty file for each, named after its ID.
const dirsName = "data_dirs"

// noteDirs compares the data directories with those that the node had, and notes new ones before anything is put there. One that is missing was
// emptied, is not mounted, or was taken away for good: nobody here can know. It matters only if partitions are missing.
func (n *Node) noteDirs() error {
	dir := path.Join(n.settings.DataDir, "wal", dirsName)
	had, err := n.env.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) && len(n.known) == 0 {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	noted := make(map[string]bool)
	for _, e := range had {
		noted[e.Name] = true
		if !n.known[e.Name] {
			n.diskGone = true
			n.env.Log.Warn("a data directory that this node had is not among those of --data-dir, or was emptied: partitions that were in it are restored from other nodes, or else offline",
				"directory.id", e.Name)
		}
	}
	for id := range n.known {
		if noted[id] {
			continue
		}
		if err := n.env.FS.MkdirAll(dir); err != nil {
			return err
		}
		if err := vfs.PutMark(n.env.FS, path.Join(dir, id)); err != nil {
			return err
		}
	}
	return n.env.FS.SyncDir(dir) // also what a process that died has left
}
