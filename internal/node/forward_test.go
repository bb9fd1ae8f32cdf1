package node

import (
	"net/netip"
	"reflect"
	"testing"

	"chronik/internal/broker/api"
)

// TestForwardedRequestsKeepTheirOrigin: what a broker knows of a client, the controller hears.
func TestForwardedRequestsKeepTheirOrigin(t *testing.T) {
	want := api.Forwarded{Key: 19, Version: 7, ClientID: "me", Body: []byte("body"), Origin: api.Origin{
		Principal: api.Principal{Type: "User", Name: "alice", ByToken: true}, Address: netip.MustParseAddrPort("10.0.0.7:4711"), Listener: "L",
	}}
	fields := reflect.ValueOf(want.Origin)
	for i := range fields.NumField() {
		if fields.Field(i).IsZero() {
			t.Errorf("this shows nothing for %s", fields.Type().Field(i).Name)
		}
	}
	if got := received(passedOn(want)); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v has become %+v", want, got)
	}
}
