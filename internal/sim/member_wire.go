package sim

import "encoding/binary"

// What classic consumers and their leader tell each other about shopTopic. The coordinator reads it when it makes the group one of the new protocol, and writes it when the
// group has become one.

// subscriptionOf says what a member has, in version 1, which is the first to say it.
func subscriptionOf(owned []int32) []byte {
	b := appendName([]byte{0, 1, 0, 0, 0, 1})
	b = append(b, 0xff, 0xff, 0xff, 0xff) // no data of the assignor's
	return appendShop(b, owned)
}

// ownedIn is what a member has said to have.
func ownedIn(subscription []byte) []int32 { return readShop(subscription[6+2+len(shopTopic)+4:]) }

// assignmentOf says what a member is to have.
func assignmentOf(partitions []int32) []byte {
	return append(appendShop([]byte{0, 1}, partitions), 0xff, 0xff, 0xff, 0xff)
}

// assignedIn is what a member was told to have.
func assignedIn(assignment []byte) []int32 {
	if len(assignment) == 0 {
		return nil
	}
	return readShop(assignment[2:])
}

func appendName(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(shopTopic))), shopTopic...)
}

func appendShop(b []byte, partitions []int32) []byte {
	if len(partitions) == 0 {
		return append(b, 0, 0, 0, 0)
	}
	b = appendName(append(b, 0, 0, 0, 1))
	b = binary.BigEndian.AppendUint32(b, uint32(len(partitions)))
	for _, p := range partitions {
		b = binary.BigEndian.AppendUint32(b, uint32(p))
	}
	return b
}

func readShop(b []byte) (partitions []int32) {
	if binary.BigEndian.Uint32(b) == 0 {
		return nil
	}
	b = b[4+2+len(shopTopic):]
	for range binary.BigEndian.Uint32(b) {
		b = b[4:]
		partitions = append(partitions, int32(binary.BigEndian.Uint32(b)))
	}
	return partitions
}
