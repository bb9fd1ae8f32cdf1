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

// What the walk counts is within a factor of what decoding really allocates, for every version of every request: so
// maxDecodedBytes bounds memory.
func TestTheWalkCountsWhatDecodingAllocates(t *testing.T) {
	const most = 3
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
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := table.Decode(Header{Key: api.Key, Version: version}, body); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			const small = 4 << 10 // the message itself
			if got := after.TotalAlloc - before.TotalAlloc; got > uint64(most*w.cost+small) {
				t.Errorf("%s version %d, %d bytes: decoding took %d, the walk counted %d", api.Name, version, len(body), got, w.cost)
			}
		}
	}
}
