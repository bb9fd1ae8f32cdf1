package snapshot

import (
	"bytes"
	"errors"
	"testing"
)

var kind = Kind{Magic: [4]byte{'T', 'E', 'S', 'T'}, Version: 3}

func sealed(body []byte) []byte {
	b := kind.Begin(nil)
	return kind.Seal(append(b, body...), 0)
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	for _, body := range [][]byte{nil, {0}, bytes.Repeat([]byte{7}, 1000)} {
		got, err := kind.Open(sealed(body))
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("Open = %v, %v; want %v", got, err, body)
		}
	}
}

func TestSealLeavesWhatStandsBefore(t *testing.T) {
	dst := kind.Begin([]byte("before"))
	dst = kind.Seal(append(dst, 1, 2), 6)
	body, err := kind.Open(dst[6:])
	if err != nil || string(dst[:6]) != "before" || !bytes.Equal(body, []byte{1, 2}) {
		t.Errorf("got %q, body %v, %v", dst[:6], body, err)
	}
}

// Every flipped bit and every cut is found, wherever it is.
func TestOpenFindsEveryFlippedBitAndEveryCut(t *testing.T) {
	good := sealed([]byte("some body"))
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := kind.Open(bad); !errors.Is(err, ErrCorrupt) {
				t.Errorf("bit %d of byte %d flipped: error %v, want ErrCorrupt", bit, i, err)
			}
		}
		if _, err := kind.Open(good[:i]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: error %v, want ErrCorrupt", i, err)
		}
	}
	if _, err := kind.Open(append(bytes.Clone(good), 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("one byte more: error %v, want ErrCorrupt", err)
	}
}

func TestOpenRefusesOtherKindsAndVersions(t *testing.T) {
	b := sealed([]byte("body"))
	if _, err := (Kind{Magic: [4]byte{'O', 'T', 'H', 'R'}, Version: 3}).Open(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("other magic: %v, want ErrCorrupt", err)
	}
	if _, err := (Kind{Magic: kind.Magic, Version: 4}).Open(b); !errors.Is(err, ErrVersion) {
		t.Errorf("other version: %v, want ErrVersion", err)
	}
}
