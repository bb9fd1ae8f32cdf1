package quorum

import (
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
)

// PropertiesName is the file that says whose data directory it is.
const PropertiesName = "meta.properties"

const propertiesVersion = 1

// Identity is whose data a directory holds. It is written once, when the directory is first used.
type Identity struct {
	ClusterID string
	NodeID    model.BrokerID
	Directory image.UUID // new for every new directory, so that a wiped disk is known (R7)
}

// What can be wrong with a data directory.
var (
	// ErrProperties: the file is damaged, or of a version that this program does not know.
	ErrProperties = errors.New("meta.properties cannot be read")
	// ErrOtherNode: the directory belongs to another node of the cluster.
	ErrOtherNode = errors.New("the data directory belongs to another node")
)

// dataName is what a data directory that has been used contains.
const dataName = "wal"

// OpenIdentity reads the identity of a data directory, or gives a new directory the one that fresh returns, durably, so
// that nothing can be stored before it. The directory must exist. A directory with data and without the file is refused:
// data whose owner is not known must not be adopted, nor may it be taken for empty.
func OpenIdentity(f vfs.FS, dir string, node model.BrokerID, fresh func() Identity) (Identity, error) {
	name := path.Join(dir, PropertiesName)
	data, err := vfs.ReadFile(f, name)
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(f, dir, fresh)
	}
	if err != nil {
		return Identity{}, err
	}
	id, err := decodeIdentity(data)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %s: %w; restore it from a backup", ErrProperties, name, err)
	}
	if id.NodeID != node {
		return Identity{}, fmt.Errorf("%w: %s says node.id=%d, but this node is %d: start it with --node-id %d, or with a directory of its own",
			ErrOtherNode, name, id.NodeID, node, id.NodeID)
	}
	return id, nil
}

func newIdentity(f vfs.FS, dir string, fresh func() Identity) (Identity, error) {
	_, err := f.Stat(path.Join(dir, dataName))
	if err == nil {
		return Identity{}, fmt.Errorf("%w: %s is missing, but there is data in %s: restore the file from a backup, or use another directory",
			ErrProperties, path.Join(dir, PropertiesName), path.Join(dir, dataName))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Identity{}, err
	}
	id := fresh()
	if err := vfs.ReplaceFile(f, path.Join(dir, PropertiesName), id.encode()); err != nil {
		return Identity{}, fmt.Errorf("writing %s: %w", path.Join(dir, PropertiesName), err)
	}
	return id, nil
}

// encode is lines of key=value as in Kafka's file of the same name, and a checksum of the lines before it.
func (id Identity) encode() []byte {
	text := fmt.Sprintf("version=%d\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", propertiesVersion, id.ClusterID, id.NodeID, id.Directory)
	return fmt.Appendf(nil, "%scrc32c=%08x\n", text, checksum(text))
}

func checksum(text string) uint32 {
	return crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
}

func decodeIdentity(data []byte) (Identity, error) {
	body, sum, ok := strings.Cut(string(data), "crc32c=")
	if !ok || strings.TrimSuffix(sum, "\n") != fmt.Sprintf("%08x", checksum(body)) {
		return Identity{}, errors.New("its checksum does not match")
	}
	values := make(map[string]string)
	for line := range strings.Lines(body) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		values[key] = value
	}
	if v := values["version"]; v != strconv.Itoa(propertiesVersion) {
		return Identity{}, fmt.Errorf("its version is %q, this program knows %d", v, propertiesVersion)
	}
	node, err := strconv.ParseInt(values["node.id"], 10, 32)
	if err != nil || values["cluster.id"] == "" {
		return Identity{}, errors.New("node.id or cluster.id is missing")
	}
	id := Identity{ClusterID: values["cluster.id"], NodeID: model.BrokerID(node)}
	dir, err := base64.RawURLEncoding.DecodeString(values["directory.id"])
	if err != nil || len(dir) != len(id.Directory) {
		return Identity{}, errors.New("directory.id is not an ID")
	}
	copy(id.Directory[:], dir)
	return id, nil
}
