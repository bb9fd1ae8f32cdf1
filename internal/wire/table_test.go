package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka's schemas and kmsg agree on every version of every request, and Decode gives back what was encoded.
func TestEveryRequestDecodes(t *testing.T) {
	table, apis := everything(t)
	r := rand.New(rand.NewPCG(1, 2))
	for _, api := range apis {
		for v := api.Min; v <= api.Max; v++ {
			if api.Key == KeyProduce {
				continue
			}
			for range 20 {
				want := filled(r, api.Key, v)
				body := want.AppendTo(nil)
				got, err := table.Decode(Header{Key: api.Key, Version: v}, body)
				if err != nil {
					t.Fatalf("%s version %d: %v\n%x", api.Name, v, err, body)
				}
				if again := got.AppendTo(nil); !bytes.Equal(again, body) {
					t.Fatalf("%s version %d: decoded and encoded again:\n%x, was\n%x", api.Name, v, again, body)
				}
			}
		}
	}
}

func TestEveryTruncatedRequestIsMalformed(t *testing.T) {
	table, apis := everything(t)
	r := rand.New(rand.NewPCG(3, 4))
	for _, api := range apis {
		for v := api.Min; v <= api.Max; v++ {
			if api.Key == KeyProduce {
				continue
			}
			body := filled(r, api.Key, v).AppendTo(nil)
			for n := range body {
				if _, err := table.Decode(Header{Key: api.Key, Version: v}, body[:n]); !errors.Is(err, ErrMalformed) {
					t.Fatalf("%s version %d, %d of %d bytes: %v, want ErrMalformed", api.Name, v, n, len(body), err)
				}
			}
		}
	}
}

// Every 32-bit count and every varint of a message is blown up in turn. kmsg alone would loop or allocate for it.
func TestHugeCountsAreRefusedQuickly(t *testing.T) {
	table, apis := everything(t)
	r := rand.New(rand.NewPCG(5, 6))
	start := time.Now()
	for _, api := range apis {
		if api.Key == KeyProduce {
			continue
		}
		h := Header{Key: api.Key, Version: api.Max}
		body := filled(r, api.Key, api.Max).AppendTo(nil)
		for i := range body {
			for _, huge := range [][]byte{{0x7f, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0x0f}, {0xff, 0xff, 0xff, 0xff, 0x07}} {
				bad := append(append(bytes.Clone(body[:i]), huge...), body[min(len(body), i+1):]...)
				_, _ = table.Decode(h, bad)
			}
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestDecodeBoundsMemory(t *testing.T) {
	table, _ := everything(t)
	// A Metadata request of 8 MB with 4 million topics of empty name: 100 times that in memory.
	const topics = 4 << 20
	body := binary.BigEndian.AppendUint32(nil, topics)
	body = append(body, make([]byte, 2*topics)...)
	if _, err := table.Decode(Header{Key: 3, Version: 1}, body); !errors.Is(err, ErrTooComplex) {
		t.Errorf("4 million topics: %v, want ErrTooComplex", err)
	}
	// A Heartbeat with a thousand tagged fields that nobody knows.
	hb := kmsg.NewPtrHeartbeatRequest()
	hb.Version = 4
	body = hb.AppendTo(nil)
	body = binary.AppendUvarint(body[:len(body)-1], 1000)
	for i := range 1000 {
		body = append(binary.AppendUvarint(body, uint64(i+100)), 0)
	}
	if _, err := table.Decode(Header{Key: 12, Version: 4}, body); !errors.Is(err, ErrTooComplex) {
		t.Errorf("1000 unknown tagged fields: %v, want ErrTooComplex", err)
	}
}

func TestDecodeKeepsUnknownTagsAndToleratesTrailingBytes(t *testing.T) {
	table, _ := everything(t)
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version = 4
	req.Group = "g"
	req.UnknownTags.Set(99, []byte("tag"))
	body := append(req.AppendTo(nil), "more"...)
	got, err := table.Decode(Header{Key: 12, Version: 4}, body)
	if err != nil || got.(*kmsg.HeartbeatRequest).Group != "g" || got.(*kmsg.HeartbeatRequest).UnknownTags.Len() != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTableRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		apis []API
		want string
	}{
		"twice":                  {[]API{MustFull(3), MustFull(3)}, "twice"},
		"newer than kmsg":        {[]API{{Key: 3, Min: 0, Max: 99}}, "0 to 13"},
		"older than Kafka":       {[]API{{Key: KeyFetch, Min: 3, Max: 18}}, "4 to 18"},
		"no versions":            {[]API{{Key: 3, Min: 5, Max: 4}}, "5 to 4"},
		"internal to Kafka":      {[]API{{Key: 4}}, "unknown API key 4"},
		"no such key":            {[]API{{Key: 5000}}, "unknown API key 5000"},
		"negative":               {[]API{{Key: -1}}, "unknown API key -1"},
		"unstable, not yet real": {[]API{{Key: 22, Min: 0, Max: 6}}, "0 to 5"},
	} {
		if _, err := NewTable(c.apis...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
}

func TestTableAnswersOnlyWhatIsRegistered(t *testing.T) {
	table, err := NewTable(API{Key: 3, Min: 4, Max: 9}, MustFull(KeyProduce), MustFull(KeyApiVersions))
	if err != nil {
		t.Fatal(err)
	}
	got := table.ApiVersions()
	if len(got) != 3 || got[0].ApiKey != 0 || got[0].MinVersion != 0 || got[0].MaxVersion != 13 || got[1].ApiKey != 3 || got[1].MinVersion != 4 || got[1].MaxVersion != 9 {
		t.Errorf("advertised: %+v", got)
	}
	for _, c := range []struct {
		key, version int16
		want         error
	}{
		{3, 3, ErrUnsupportedVersion}, {3, 4, nil}, {3, 9, nil}, {3, 10, ErrUnsupportedVersion}, {3, -1, ErrUnsupportedVersion},
		{0, 0, nil}, {1, 4, ErrUnknownAPI}, {-1, 0, ErrUnknownAPI}, {900, 0, ErrUnknownAPI},
	} {
		if err := table.Check(c.key, c.version); !errors.Is(err, c.want) {
			t.Errorf("key %d version %d: %v, want %v", c.key, c.version, err, c.want)
		}
	}
	n := 0
	for range table.All() {
		n++
	}
	if n != 3 {
		t.Errorf("All yields %d", n)
	}
}

func BenchmarkDecodeFetch(b *testing.B) {
	table, _ := everything(b)
	req := kmsg.NewPtrFetchRequest()
	req.Version = 13
	topic := kmsg.NewFetchRequestTopic()
	for i := range 10 {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition = int32(i)
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	body := req.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Decode(Header{Key: KeyFetch, Version: 13}, body); err != nil {
			b.Fatal(err)
		}
	}
}
