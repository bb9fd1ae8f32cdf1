package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzFrameHeader: any frame gives a header or an error, and a body that is its tail.
func FuzzFrameHeader(f *testing.F) {
	_, apis := everything(f)
	for _, api := range apis {
		req := kmsg.RequestForKey(api.Key)
		req.SetVersion(api.Max)
		f.Add(frameOf(kmsg.StringPtr("client"), req))
		req.SetVersion(api.Min)
		f.Add(frameOf(nil, req))
	}
	var in Interner
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseRequestHeader(frame, &in)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(frame, body) || len(frame)-len(body) < 10+len(h.ClientID) {
			t.Errorf("%+v and %d bytes of body from a frame of %d", h, len(body), len(frame))
		}
	})
}

// FuzzEveryRequest: any body of any API and version decodes or is refused, without a panic and without delay; kmsg
// never refuses what the walk let pass; what was decoded can be encoded and decoded again.
func FuzzEveryRequest(f *testing.F) {
	table, apis := everything(f)
	r := rand.New(rand.NewPCG(9, 10))
	for _, api := range apis {
		for v := api.Min; v <= api.Max; v++ {
			f.Add(byte(api.Key), byte(v), filled(r, api.Key, v).AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, key, version byte, body []byte) {
		h := Header{Key: int16(key), Version: int16(version)}
		e, err := table.find(h.Key, h.Version)
		if err != nil || h.Key == KeyProduce {
			return
		}
		start := time.Now()
		walked := walk(e.shapes[h.Version-e.Min], body)
		req, err := table.Decode(h, body)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v for %d bytes", took, len(body))
		}
		if (walked == nil) != (err == nil) {
			t.Fatalf("the walk says %v, kmsg %v", walked, err)
		}
		if err != nil {
			return
		}
		again := req.AppendTo(nil)
		if _, err := table.Decode(h, again); err != nil {
			t.Fatalf("encoded again it is refused: %v\n%x\n%x", err, body, again)
		}
	})
}

// FuzzProduce: the decoder here and kmsg, behind the walk that makes kmsg safe, agree on every body.
func FuzzProduce(f *testing.F) {
	table, _ := everything(f)
	r := rand.New(rand.NewPCG(11, 12))
	for v := ProduceMinWorking; v <= produceMaxVersion; v++ {
		for range 5 {
			f.Add(byte(v), filled(r, KeyProduce, v).AppendTo(nil))
		}
	}
	var got ProduceRequest
	f.Fuzz(func(t *testing.T, v byte, body []byte) {
		version := int16(v)
		e, err := table.find(KeyProduce, version)
		if err != nil || version < ProduceMinWorking {
			return
		}
		err = got.Decode(version, body, nil)
		walked := walk(e.shapes[version-e.Min], body)
		if walked != nil && err == nil && !errors.Is(walked, ErrTooComplex) { // which needs less memory here
			t.Fatalf("decoded, but the walk says %v", walked)
		}
		if walked != nil {
			return
		}
		if err != nil {
			t.Fatalf("the walk passes, the decoder says %v", err)
		}
		want := kmsg.NewPtrProduceRequest()
		want.Version = version
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("kmsg refuses: %v", err)
		}
		if diff := sameProduce(&got, want); diff != "" {
			t.Fatalf("%s differs: %+v, want %+v", diff, got, want)
		}
	})
}
