package peer

import (
	"encoding/binary"
	"fmt"
	"time"

	"chronik/internal/link"
)

// Frames of a control link.
const (
	typeRequest = link.FirstType     // number, method, time left, body
	typeAnswer  = link.FirstType + 1 // number, status, body
	typeCancel  = link.FirstType + 2 // number: nobody waits any more
)

const (
	requestHeader = 8 + 2 + 4
	answerHeader  = 8 + 1
	cancelSize    = 8

	statusDone   byte = 0 // the body is the method's answer
	statusFailed byte = 1 // the body is a Failure

	// maxTime bounds what one call may take.
	maxTime = 5 * time.Minute
)

// requestHead is what precedes a request's body.
type requestHead struct {
	number uint64
	method Method
	left   time.Duration // until the caller gives up; whole milliseconds on the wire
}

func (h requestHead) append(b []byte) []byte {
	ms := (min(max(h.left, 0), maxTime) + time.Millisecond - 1) / time.Millisecond
	b = binary.BigEndian.AppendUint64(b, h.number)
	b = binary.BigEndian.AppendUint16(b, uint16(h.method))
	return binary.BigEndian.AppendUint32(b, uint32(ms))
}

func parseRequest(frame []byte) (requestHead, []byte, error) {
	if len(frame) < requestHeader {
		return requestHead{}, nil, fmt.Errorf("%w: a request of %d bytes", link.ErrDamaged, len(frame))
	}
	ms := binary.BigEndian.Uint32(frame[10:])
	return requestHead{
		number: binary.BigEndian.Uint64(frame), method: Method(binary.BigEndian.Uint16(frame[8:])),
		left: min(time.Duration(ms)*time.Millisecond, maxTime),
	}, frame[requestHeader:], nil
}

func appendAnswerHead(b []byte, number uint64, status byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, number), status)
}

func parseAnswer(frame []byte) (number uint64, status byte, body []byte, err error) {
	if len(frame) < answerHeader || frame[8] > statusFailed {
		return 0, 0, nil, fmt.Errorf("%w: an answer of %d bytes that says neither that it was done nor that it failed", link.ErrDamaged, len(frame))
	}
	return binary.BigEndian.Uint64(frame), frame[8], frame[answerHeader:], nil
}

func appendCancel(b []byte, number uint64) []byte { return binary.BigEndian.AppendUint64(b, number) }

func parseCancel(frame []byte) (uint64, error) {
	if len(frame) != cancelSize {
		return 0, fmt.Errorf("%w: a cancellation of %d bytes", link.ErrDamaged, len(frame))
	}
	return binary.BigEndian.Uint64(frame), nil
}
