package wire

import (
	"reflect"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// widen makes every array of a message n long and leaves the elements at their smallest: what costs most in memory
// for its bytes. Deeper arrays stay short, or the messages would be gigabytes.
func widen(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		widen(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "Version" && f.Name != "UnknownTags" {
				widen(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			widen(v.Index(i), max(1, n/20))
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// grow is how kmsg makes room for an array.
//
//go:noinline
func grow(a []int64, n int32) []int64 { return append(a[:0], make([]int64, n)...) }

var grown []int64

// What the walk counts is at least half of what decoding really allocates, for every version of every request: so
// maxDecodedBytes bounds memory, at twice its value.
func TestTheWalkCountsWhatDecodingAllocates(t *testing.T) {
	most := uint64(2)
	const n = 10_000
	if got := allocated(func() { grown = grow(nil, n) }); got > 8*n*3/2 {
		most *= 2 // the race detector's build does not elide the slice that make returns
	}
	table, apis := everything(t)
	for _, api := range apis {
		for version := api.Min; version <= api.Max; version++ {
			if api.Key == KeyProduce {
				continue
			}
			req := kmsg.RequestForKey(api.Key)
			widen(reflect.ValueOf(req).Elem(), 400)
			req.SetVersion(version)
			body := req.AppendTo(nil)
			w := walker{reader: reader{buf: body}}
			w.fields(table.entry(api.Key).shapes[version-api.Min])
			got := allocated(func() {
				if _, err := table.Decode(Header{Key: api.Key, Version: version}, body); err != nil {
					t.Fatal(err)
				}
			})
			const small = 4 << 10 // the message itself
			if got > most*uint64(w.cost)+small {
				t.Errorf("%s version %d, %d bytes: decoding took %d, the walk counted %d", api.Name, version, len(body), got, w.cost)
			}
		}
	}
}
