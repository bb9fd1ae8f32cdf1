package api

import "testing"

// TestT3OffsetsAsked: what a transaction's coordinator has said is void once the transaction has a marker on the group's offsets, or another coordinator of the group
// may have written one. Other producers and partitions have nothing to do with it.
func TestT3OffsetsAsked(t *testing.T) {
	var o offsetsAsked
	const epoch = 4
	a, same, otherProducer, otherPartition := o.begin(1, 7, epoch), o.begin(1, 7, epoch), o.begin(1, 8, epoch), o.begin(2, 7, epoch)
	for _, x := range []*offsetAsked{a, same, otherProducer, otherPartition} {
		if x.over(epoch) {
			t.Errorf("%+v is over before anything has happened", x.key)
		}
		if !x.over(epoch + 1) {
			t.Errorf("%+v is not over in another leader's epoch", x.key)
		}
	}
	same.leave()
	o.end(1, 7)
	if !a.over(epoch) || same.over(epoch) || otherProducer.over(epoch) || otherPartition.over(epoch) {
		t.Errorf("after the marker: %t, left before it %t, of another producer %t, on another partition %t", a.over(epoch), same.over(epoch),
			otherProducer.over(epoch), otherPartition.over(epoch))
	}
	later := o.begin(1, 7, epoch)
	if later.over(epoch) {
		t.Error("who asks after the marker is over")
	}
	for _, x := range []*offsetAsked{a, later, otherProducer, otherPartition} {
		x.leave()
	}
	if len(o.all) != 0 {
		t.Errorf("%d keys are left", len(o.all))
	}
}
