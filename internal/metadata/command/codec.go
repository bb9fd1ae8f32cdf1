package command

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	// ErrFormat is for bytes that are not a batch or snapshot which this program can read whole.
	ErrFormat = errors.New("not a metadata record that this version can read")
	// ErrCluster is for a record of another cluster.
	ErrCluster = errors.New("the metadata record belongs to another cluster")
)

// Encode returns the bytes of one log entry, in the lowest format version that the commands need. Equal commands give
// equal bytes.
func Encode(clusterID string, commands []*Command) ([]byte, error) {
	b := &Batch{FormatVersion: Version(commands), ClusterId: clusterID, Commands: commands}
	if err := checkBatch(b); err != nil {
		return nil, err
	}
	return Marshal(b)
}

// Marshal encodes a message of this package deterministically.
func Marshal(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// Decode reads what Encode wrote. It refuses a newer format version, commands and fields that are unknown or newer than
// the version that the batch claims, missing parts (ErrFormat), and another cluster (ErrCluster).
func Decode(clusterID string, value []byte) ([]*Command, error) {
	b := new(Batch)
	if err := Unmarshal(value, b); err != nil {
		return nil, err
	}
	if err := CheckVersion(b.FormatVersion); err != nil {
		return nil, err
	}
	if b.ClusterId != clusterID {
		return nil, fmt.Errorf("%w: %s, and this node belongs to %s; give it the data directory of its own cluster", ErrCluster, b.ClusterId, clusterID)
	}
	if err := checkBatch(b); err != nil {
		return nil, err
	}
	if need := Version(b.Commands); b.FormatVersion < need {
		return nil, fmt.Errorf("%w: its format version is %d, its content needs %d", ErrFormat, b.FormatVersion, need)
	}
	return b.Commands, nil
}

// Unmarshal reads one message of this package and refuses unknown fields in it, at any depth.
func Unmarshal(data []byte, m proto.Message) error {
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return refuseUnknown(m.ProtoReflect())
}

// refuseUnknown walks a message. The protobuf library keeps what it does not know aside and goes on, which
// would let two versions of this program make different images of one record.
func refuseUnknown(m protoreflect.Message) error {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%w: %s has a field that is unknown here; run the version of Chronik that wrote it, or a newer one",
			ErrFormat, m.Descriptor().Name())
	}
	var bad error
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() == nil {
			return true
		}
		if !f.IsList() {
			bad = refuseUnknown(v.Message())
			return bad == nil
		}
		for i := range v.List().Len() {
			if bad = refuseUnknown(v.List().Get(i).Message()); bad != nil {
				return false
			}
		}
		return true
	})
	return bad
}
