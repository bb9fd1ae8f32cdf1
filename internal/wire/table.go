package wire

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// API is one request kind and the versions of it that are advertised.
type API struct {
	Key      int16
	Min, Max int16
	Name     string // Kafka's: "Produce"
}

var (
	// ErrUnknownAPI: nothing is registered under the key. Kafka closes the connection.
	ErrUnknownAPI = errors.New("unknown API key")
	// ErrUnsupportedVersion: the API is there, the version is not. Kafka closes the connection, except that ApiVersions
	// is answered in version 0.
	ErrUnsupportedVersion = errors.New("unsupported API version")
)

const (
	// The keys that need treatment of their own.
	KeyProduce      int16 = 0
	KeyFetch        int16 = 1
	KeyOffsetCommit int16 = 8
	KeyApiVersions  int16 = 18

	// ProduceMinWorking is the lowest version of Produce that works. Versions 0 to 2 are advertised, because librdkafka
	// looks for them (KAFKA-18659), and answered UNSUPPORTED_VERSION.
	ProduceMinWorking int16 = 3
)

// Full returns an API in all versions that both the current Apache Kafka and kmsg know. The error wraps
// ErrUnknownAPI; requests between Kafka's own brokers are unknown too.
func Full(key int16) (API, error) {
	i, ok := slices.BinarySearchFunc(kafkaAPIs, key, func(a kafkaAPI, key int16) int { return int(a.key) - int(key) })
	req := kmsg.RequestForKey(key)
	if !ok || req == nil {
		return API{}, fmt.Errorf("%w %d", ErrUnknownAPI, key)
	}
	k := &kafkaAPIs[i]
	api := API{
		Key:  key,
		Min:  k.shapes[0].from,
		Max:  min(k.shapes[len(k.shapes)-1].to, req.MaxVersion()),
		Name: k.name,
	}
	if key == KeyProduce {
		api.Min = 0
	}
	return api, nil
}

// MustFull is Full for keys that are constants.
func MustFull(key int16) API {
	api, err := Full(key)
	if err != nil {
		panic(err)
	}
	return api
}

// Table is the set of APIs that a listener serves. It is immutable.
type Table struct {
	apis     []API // by key
	entries  []*entry
	versions []kmsg.ApiVersionsResponseApiKey
}

type entry struct {
	API
	shapes [][]node // by version from Min; nil for the versions of Produce that only kmsg knows
}

// NewTable builds a table of what is registered. It refuses keys that are unknown or given twice, and versions outside
// those of Full.
func NewTable(apis ...API) (*Table, error) {
	t := &Table{apis: slices.Clone(apis)}
	slices.SortFunc(t.apis, func(a, b API) int { return int(a.Key) - int(b.Key) })
	for _, a := range t.apis {
		full, err := Full(a.Key)
		switch {
		case err != nil:
			return nil, err
		case a.Min < full.Min || a.Max > full.Max || a.Min > a.Max:
			return nil, fmt.Errorf("%w: %s is registered with versions %d to %d, possible are %d to %d",
				ErrUnsupportedVersion, full.Name, a.Min, a.Max, full.Min, full.Max)
		case t.entry(a.Key) != nil:
			return nil, fmt.Errorf("%s (key %d) is registered twice", full.Name, a.Key)
		}
		a.Name = full.Name
		t.add(a)
	}
	return t, nil
}

func (t *Table) add(a API) {
	e := &entry{API: a, shapes: make([][]node, a.Max-a.Min+1)}
	i, _ := slices.BinarySearchFunc(kafkaAPIs, a.Key, func(k kafkaAPI, key int16) int { return int(k.key) - int(key) })
	for _, s := range kafkaAPIs[i].shapes {
		fields := compile(s.shape)
		for v := max(s.from, a.Min); v <= min(s.to, a.Max); v++ {
			e.shapes[v-a.Min] = fields
		}
	}
	for int(a.Key) >= len(t.entries) {
		t.entries = append(t.entries, nil)
	}
	t.entries[a.Key] = e
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = a.Key, a.Min, a.Max
	t.versions = append(t.versions, k)
}

func (t *Table) entry(key int16) *entry {
	if key < 0 || int(key) >= len(t.entries) {
		return nil
	}
	return t.entries[key]
}

// All yields the APIs in the order of their keys.
func (t *Table) All() iter.Seq[API] { return slices.Values(t.apis) }

// ApiVersions is the list for the response of the same name, in the order of the keys. It is shared: do not change it.
func (t *Table) ApiVersions() []kmsg.ApiVersionsResponseApiKey { return t.versions }

// Check tells whether a request may be decoded. Errors wrap ErrUnknownAPI or ErrUnsupportedVersion.
func (t *Table) Check(key, version int16) error {
	_, err := t.find(key, version)
	return err
}

func (t *Table) find(key, version int16) (*entry, error) {
	e := t.entry(key)
	if e == nil {
		return nil, fmt.Errorf("%w %d", ErrUnknownAPI, key)
	}
	if version < e.Min || version > e.Max {
		return nil, fmt.Errorf("%w: %s version %d, supported are %d to %d", ErrUnsupportedVersion, e.Name, version, e.Min, e.Max)
	}
	return e, nil
}

// Decode decodes the body of a request: what ParseRequestHeader returned. Byte fields of the result alias body,
// strings are copies. Produce is for ProduceRequest, and refused here. Errors wrap ErrUnknownAPI, ErrUnsupportedVersion,
// ErrMalformed or ErrTooComplex; after any of them the connection is to be closed, as Kafka does.
func (t *Table) Decode(h Header, body []byte) (kmsg.Request, error) {
	e, err := t.find(h.Key, h.Version)
	if err != nil {
		return nil, err
	}
	fields := e.shapes[h.Version-e.Min]
	if h.Key == KeyProduce {
		return nil, fmt.Errorf("%w: Produce is decoded by ProduceRequest", ErrUnsupportedVersion)
	}
	if err := walk(fields, body); err != nil {
		return nil, fmt.Errorf("%s version %d from client %q: %w", e.Name, h.Version, h.ClientID, err)
	}
	req := kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	if err := req.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%s version %d from client %q: %w: %w", e.Name, h.Version, h.ClientID, ErrMalformed, err)
	}
	return req, nil
}
