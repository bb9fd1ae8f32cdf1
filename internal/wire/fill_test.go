package wire

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill gives every field of a kmsg message a value: arrays of 0 to 2 elements, tagged fields too.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "Version" || f.Name == "UnknownTags" || !f.IsExported() {
				continue
			}
			fill(r, v.Field(i))
		}
	case reflect.Slice:
		n := r.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", r.IntN(4)*r.IntN(50)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 1)
	case reflect.Float64:
		v.SetFloat(r.Float64())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int64N(100) + 1)
	case reflect.Uint16, reflect.Uint8:
		v.SetUint(r.Uint64N(100) + 1)
	default:
		panic(v.Kind())
	}
}

// filled is a request of an API in a version with random content.
func filled(r *rand.Rand, key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	fill(r, reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	return req
}

// everything is a table of all APIs that there are, and the list of them.
func everything(t testing.TB) (*Table, []API) {
	t.Helper()
	var apis []API
	for _, k := range kafkaAPIs {
		api, err := Full(k.key)
		if err != nil {
			t.Logf("kmsg does not have %s (%d)", k.name, k.key)
			continue
		}
		apis = append(apis, api)
	}
	table, err := NewTable(apis...)
	if err != nil {
		t.Fatal(err)
	}
	return table, apis
}
