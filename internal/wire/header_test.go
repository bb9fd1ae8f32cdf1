package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// frameOf is a request as a client sends it, without the size prefix.
func frameOf(clientID *string, req kmsg.Request) []byte {
	var f *kmsg.RequestFormatter
	if clientID == nil {
		f = kmsg.NewRequestFormatter()
	} else {
		f = kmsg.NewRequestFormatter(kmsg.FormatterClientID(*clientID))
	}
	return f.AppendRequest(nil, req, 77)[4:]
}

func TestHeaderOfEveryRequest(t *testing.T) {
	_, apis := everything(t)
	for _, api := range apis {
		for v := api.Min; v <= api.Max; v++ {
			for _, id := range []*string{nil, kmsg.StringPtr(""), kmsg.StringPtr("client")} {
				req := kmsg.RequestForKey(api.Key)
				req.SetVersion(v)
				h, body, err := ParseRequestHeader(frameOf(id, req), nil)
				want := Header{Key: api.Key, Version: v, CorrelationID: 77}
				if id != nil {
					want.ClientID = *id
				}
				if err != nil || h != want || !bytes.Equal(body, req.AppendTo(nil)) {
					t.Fatalf("%s version %d: %+v, %v, body %x", api.Name, v, h, err, body)
				}
			}
		}
	}
}

func TestHeaderSkipsTags(t *testing.T) {
	frame := []byte{0, 3, 0, 12, 0, 0, 0, 9, 0, 1, 'c', 2, 0, 3, 'a', 'b', 'c', 5, 0, 'B'}
	h, body, err := ParseRequestHeader(frame, nil)
	if err != nil || h.ClientID != "c" || string(body) != "B" {
		t.Errorf("%+v, %q, %v", h, body, err)
	}
}

func TestHeaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		want  error
	}{
		"empty":                 {nil, ErrMalformed},
		"seven bytes":           {make([]byte, 7), ErrMalformed},
		"no client ID":          {[]byte{0, 3, 0, 0, 0, 0, 0, 9}, ErrMalformed},
		"client ID too long":    {[]byte{0, 3, 0, 0, 0, 0, 0, 9, 0, 5, 'c'}, ErrMalformed},
		"client ID of length-2": {[]byte{0, 3, 0, 0, 0, 0, 0, 9, 0xff, 0xfe}, ErrMalformed},
		"tags missing":          {[]byte{0, 3, 0, 12, 0, 0, 0, 9, 0, 0}, ErrMalformed},
		"four thousand million tags": {
			append([]byte{0, 3, 0, 12, 0, 0, 0, 9, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 20)...), ErrMalformed,
		},
		"unknown key":  {[]byte{1, 3, 0, 12, 0, 0, 0, 9, 0, 0}, ErrUnknownAPI},
		"negative key": {[]byte{0xff, 3, 0, 12, 0, 0, 0, 9, 0, 0}, ErrUnknownAPI},
	} {
		if _, _, err := ParseRequestHeader(c.frame, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A client newer than this broker asks ApiVersions in a version of its own and must be answered (KIP-511).
func TestHeaderOfFutureApiVersions(t *testing.T) {
	h, _, err := ParseRequestHeader([]byte{0, 18, 0, 99, 0, 0, 0, 9, 0, 1, 'c', 0xff, 0xff}, nil)
	if err != nil || h != (Header{Key: 18, Version: 99, CorrelationID: 9, ClientID: "c"}) {
		t.Fatalf("%+v, %v", h, err)
	}
	table, err := NewTable(MustFull(KeyApiVersions), MustFull(3))
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Check(h.Key, h.Version); !errors.Is(err, ErrUnsupportedVersion) {
		t.Errorf("%v, want ErrUnsupportedVersion", err)
	}
	frame := AppendResponse(nil, 9, UnsupportedApiVersions(table))
	want := []byte{0, 0, 0, 16, 0, 0, 0, 9, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4}
	if !bytes.Equal(frame, want) {
		t.Errorf("answered %x, want %x", frame, want)
	}
}

func TestAppendResponseHeaderVersions(t *testing.T) {
	body := func(resp kmsg.Response) []byte { return resp.AppendTo(nil) }
	for _, c := range []struct {
		name string
		resp kmsg.Response
		tags bool
	}{
		{"Metadata 8", &kmsg.MetadataResponse{Version: 8}, false},
		{"Metadata 9, flexible", &kmsg.MetadataResponse{Version: 9}, true},
		{"ApiVersions 3, flexible, header version 0 all the same", &kmsg.ApiVersionsResponse{Version: 3}, false},
		{"ApiVersions 0", &kmsg.ApiVersionsResponse{}, false},
		{"SaslHandshake 1", &kmsg.SASLHandshakeResponse{Version: 1}, false},
	} {
		want := []byte{0, 0, 0, 42}
		if c.tags {
			want = append(want, 0)
		}
		want = append(want, body(c.resp)...)
		want = append([]byte{'d', 's', 't', 0, 0, 0, byte(len(want))}, want...)
		if got := AppendResponse([]byte("dst"), 42, c.resp); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", c.name, got, want)
		}
	}
}

func TestInternerGivesTheSameStringOnce(t *testing.T) {
	var in Interner
	b := []byte("topic-a")
	first := in.String(b)
	b[0] = 'X'
	if first != "topic-a" {
		t.Error("the string aliases its bytes")
	}
	for i := range 3 * maxInterned {
		in.String([]byte(strings.Repeat("y", i%200) + string(rune(i))))
	}
	if len(in.seen) > maxInterned {
		t.Errorf("%d strings are kept", len(in.seen))
	}
	one, two := []byte("one"), []byte("two")
	if n := testing.AllocsPerRun(100, func() { in.String(one); in.String(two) }); n != 0 {
		t.Errorf("%v allocations for strings that it has seen", n)
	}
	long := bytes.Repeat([]byte("z"), maxInternedLen+1)
	if in.String(long) != string(long) || (*Interner)(nil).String(one) != "one" {
		t.Error("long strings and nil Interners copy")
	}
}

func BenchmarkParseRequestHeader(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 11
	frame := frameOf(kmsg.StringPtr("producer-1"), req)
	var in Interner
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseRequestHeader(frame, &in); err != nil {
			b.Fatal(err)
		}
	}
}
