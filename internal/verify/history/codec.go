package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line of a history: a poll of some hundred thousand records.
const maxLine = 64 << 20

// Writer writes a history as JSON lines.
type Writer struct {
	buf *bufio.Writer
	enc *json.Encoder
}

// NewWriter writes to w. Flush when done.
func NewWriter(w io.Writer) *Writer {
	buf := bufio.NewWriterSize(w, 1<<16)
	return &Writer{buf: buf, enc: json.NewEncoder(buf)}
}

// Write appends an event.
func (w *Writer) Write(e *Event) error { return w.enc.Encode(e) }

// Flush passes on what is buffered.
func (w *Writer) Flush() error { return w.buf.Flush() }

// Read calls yield for each event of JSON lines, until it fails. A last line that was cut short is left out: whoever wrote it was killed.
func Read(r io.Reader, yield func(*Event) error) error {
	lines := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		last := errors.Is(err, io.EOF)
		if last && !json.Valid(line) {
			return nil
		}
		if err != nil && !last {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var e Event
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&e); err != nil {
			return fmt.Errorf("line %d is no event of a history: %w", n, err)
		}
		if err := yield(&e); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if last {
			return nil
		}
	}
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}
