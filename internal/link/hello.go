package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"chronik/internal/model"
)

// Handshake messages are magic, kind, length of the body, body. This shape and the first fields of the hello are for ever: they are what
// releases that know nothing of each other agree about before they know it.
const (
	magic         = 0x43484C4B // CHLK
	messageHeader = 4 + 1 + 2
	maxMessage    = 1 << 10 // body of a handshake message

	kindHello   = 1
	kindProof   = 2
	kindRefusal = 3

	nonceSize = 32
	macSize   = 32
	maxReason = 512

	flagSecret = 1 // the sender has a secret, and expects one
)

// hello is what each side says first.
type hello struct {
	oldest, newest Version
	role           Role
	flags          byte
	node           model.BrokerID
	epoch          model.BrokerEpoch
	silence        time.Duration // that the sender tolerates; whole milliseconds on the wire
	nonce          [nonceSize]byte
	clusterID      string
}

const minHello = 2 + 2 + 1 + 1 + 4 + 8 + 4 + nonceSize + 1

func (h *hello) encode() []byte {
	b := make([]byte, 0, messageHeader+minHello+len(h.clusterID))
	b = appendMessageHeader(b, kindHello, minHello+len(h.clusterID))
	b = binary.BigEndian.AppendUint16(b, uint16(h.oldest))
	b = binary.BigEndian.AppendUint16(b, uint16(h.newest))
	b = append(b, byte(h.role), h.flags)
	b = binary.BigEndian.AppendUint32(b, uint32(h.node))
	b = binary.BigEndian.AppendUint64(b, uint64(h.epoch))
	b = binary.BigEndian.AppendUint32(b, uint32(h.silence.Milliseconds()))
	b = append(b, h.nonce[:]...)
	b = append(b, byte(len(h.clusterID)))
	return append(b, h.clusterID...)
}

// decodeHello reads a hello's body. What follows the known fields belongs to later versions, and is covered by the proofs all the same.
func decodeHello(b []byte) (hello, error) {
	if len(b) < minHello {
		return hello{}, refuse(NotALink, "the hello has %d bytes, it takes at least %d", len(b), minHello)
	}
	h := hello{
		oldest: Version(binary.BigEndian.Uint16(b)), newest: Version(binary.BigEndian.Uint16(b[2:])),
		role: Role(b[4]), flags: b[5],
		node:    model.BrokerID(binary.BigEndian.Uint32(b[6:])),
		epoch:   model.BrokerEpoch(binary.BigEndian.Uint64(b[10:])),
		silence: time.Duration(binary.BigEndian.Uint32(b[18:])) * time.Millisecond,
	}
	copy(h.nonce[:], b[22:])
	n := int(b[minHello-1])
	if n > maxClusterID || len(b) < minHello+n {
		return hello{}, refuse(NotALink, "the hello ends within the cluster ID")
	}
	h.clusterID = string(b[minHello : minHello+n])
	switch {
	case h.oldest == 0 || h.oldest > h.newest:
		return hello{}, refuse(NotALink, "the hello offers versions %d to %d", h.oldest, h.newest)
	case h.node < 0 || h.epoch < model.NoBrokerEpoch || h.silence <= 0:
		return hello{}, refuse(NotALink, "the hello claims node %d in epoch %d, and %v of silence", h.node, h.epoch, h.silence)
	}
	return h, nil
}

// common is the highest version that both speak; 0 if there is none.
func common(a, b *hello) Version {
	v := min(a.newest, b.newest)
	if v < a.oldest || v < b.oldest {
		return 0
	}
	return v
}

// compare finds out whether the two may have a link at all. Both sides come to the same answer.
func compare(mine, theirs *hello) *HandshakeError {
	switch {
	case common(mine, theirs) == 0:
		return refuse(NoCommonVersion, "node %d speaks versions %d to %d of the protocol between brokers, node %d speaks %d to %d: upgrade by one release at a time",
			mine.node, mine.oldest, mine.newest, theirs.node, theirs.oldest, theirs.newest)
	case !theirs.role.known() || theirs.role != mine.role:
		return refuse(BadRole, "node %d wants a link for %v, node %d one for %v", theirs.node, theirs.role, mine.node, mine.role)
	case !sameCluster(mine, theirs) && (mine.clusterID == "" || theirs.clusterID == ""):
		who := mine
		if mine.clusterID != "" {
			who = theirs
		}
		return refuse(NoCluster, "node %d does not belong to a cluster yet: it is starting, and is reached in a moment, or its directory is empty, and its log says what it waits for",
			who.node)
	case !sameCluster(mine, theirs):
		return refuse(OtherCluster, "node %d belongs to cluster %q, node %d to cluster %q: one of them has the wrong peers or the wrong data directory",
			mine.node, mine.clusterID, theirs.node, theirs.clusterID)
	case mine.node == theirs.node:
		return refuse(WrongNode, "both ends are node %d: the address is our own, or two brokers have the same node ID", mine.node)
	case (mine.flags^theirs.flags)&flagSecret != 0:
		has, lacks := mine.node, theirs.node
		if mine.flags&flagSecret == 0 {
			has, lacks = lacks, has
		}
		return refuse(NotProved, "node %d has a shared secret and node %d has none: give every broker the same one", has, lacks)
	}
	return nil
}

// sameCluster: a broker that belongs to none may ask around, no more (M5).
func sameCluster(a, b *hello) bool {
	if a.role == Control && (a.clusterID == "" || b.clusterID == "") {
		return true
	}
	return a.clusterID != "" && a.clusterID == b.clusterID
}

func appendMessageHeader(b []byte, kind byte, body int) []byte {
	b = binary.BigEndian.AppendUint32(b, magic)
	b = append(b, kind)
	return binary.BigEndian.AppendUint16(b, uint16(body))
}

// readMessage reads one handshake message, and not a byte more. raw holds its header too.
func readMessage(r io.Reader) (kind byte, body, raw []byte, err error) {
	var head [messageHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, nil, fmt.Errorf("the connection ended within the handshake: %w", err)
	}
	if binary.BigEndian.Uint32(head[:]) != magic {
		return 0, nil, nil, errStranger()
	}
	n := int(binary.BigEndian.Uint16(head[5:]))
	if n > maxMessage {
		return 0, nil, nil, refuse(NotALink, "a handshake message of %d bytes, the most is %d", n, maxMessage)
	}
	raw = make([]byte, messageHeader+n)
	copy(raw, head[:])
	if _, err := io.ReadFull(r, raw[messageHeader:]); err != nil {
		return 0, nil, nil, fmt.Errorf("the connection ended within the handshake: %w", err)
	}
	return head[4], raw[messageHeader:], raw, nil
}

func errStranger() error {
	return refuse(NotALink, "what came is no handshake of a Chronik broker: is the port right?")
}

// encodeRefusal is the message that says why there will be no link.
func encodeRefusal(e *HandshakeError) []byte {
	reason := e.Reason[:min(len(e.Reason), maxReason)]
	b := appendMessageHeader(nil, kindRefusal, 1+len(reason))
	return append(append(b, byte(e.Code)), reason...)
}

func decodeRefusal(b []byte) error {
	if len(b) == 0 {
		return refuse(NotALink, "the peer refuses the link without a reason")
	}
	return &HandshakeError{Code: Code(b[0]), Reason: printable(b[1:]), Remote: true}
}

// printable makes what a peer says fit for a log line.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, string(b[:min(len(b), maxReason)]))
}
