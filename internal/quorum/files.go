package quorum

import (
	"errors"
	"io/fs"
	"path"

	"chronik/internal/vfs"
)

// replaceFile puts data under a name in one durable step: a crash leaves the old content or the new (D6). If it
// fails before that, the space that it took is given back.
func replaceFile(f vfs.FS, dir, name string, data []byte) error {
	tmp := path.Join(dir, name+".tmp")
	if err := f.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := writeFile(f, tmp, data)
	if err == nil {
		err = f.Rename(tmp, path.Join(dir, name))
	}
	if err != nil {
		_ = f.Remove(tmp) // the next attempt does it otherwise
		return err
	}
	return f.SyncDir(dir)
}

func writeFile(f vfs.FS, name string, data []byte) error {
	file, err := f.Create(name)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, 0)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
