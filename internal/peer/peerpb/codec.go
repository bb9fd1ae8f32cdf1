package peerpb

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	// ErrFormat is for bytes that are not the message which they should be.
	ErrFormat = errors.New("not a message between brokers")
	// ErrUnknownField is for a request of a newer version than the link's.
	ErrUnknownField = errors.New("a field of a version that was not agreed upon")
)

// Marshal appends a message to b.
func Marshal(b []byte, m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(b, m)
}

// Unmarshal reads a request. It fails with ErrFormat, or with ErrUnknownField for a field that is unknown, at any depth.
func Unmarshal(data []byte, m proto.Message) error {
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return refuseUnknown(m.ProtoReflect())
}

// UnmarshalAnswer reads an answer, or what another side of equal rank has to say. It fails with ErrFormat, and ignores what is unknown.
func UnmarshalAnswer(data []byte, m proto.Message) error {
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

func refuseUnknown(m protoreflect.Message) error {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%w: in %s", ErrUnknownField, m.Descriptor().Name())
	}
	var bad error
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := 0; i < v.List().Len() && bad == nil; i++ {
				bad = refuseUnknown(v.List().Get(i).Message())
			}
		default:
			bad = refuseUnknown(v.Message())
		}
		return bad == nil
	})
	return bad
}
