package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTopicIDRoundTrip(t *testing.T) {
	id := NewTopicID()
	got, err := ParseTopicID(id.String())
	if err != nil || got != id {
		t.Fatalf("ParseTopicID(%q) = %v, %v; want %v", id, got, err, id)
	}
	for _, bad := range []string{"", "short", strings.Repeat("A", 23), strings.Repeat("+", 22)} {
		if _, err := ParseTopicID(bad); !errors.Is(err, ErrBadTopicID) {
			t.Errorf("ParseTopicID(%q): error %v, want ErrBadTopicID", bad, err)
		}
	}
}

func TestCheckTopicName(t *testing.T) {
	for _, good := range []string{"a", "A.b_c-9", "...", strings.Repeat("x", MaxTopicName)} {
		if err := CheckTopicName(good); err != nil {
			t.Errorf("CheckTopicName(%q) = %v, want nil", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a/b", "a b", "ä", "a\x00", strings.Repeat("x", MaxTopicName+1)} {
		if err := CheckTopicName(bad); !errors.Is(err, ErrBadTopicName) {
			t.Errorf("CheckTopicName(%q) = %v, want ErrBadTopicName", bad, err)
		}
	}
}

func TestParseTopicPartitionSplitsAtTheLastDash(t *testing.T) {
	got, err := ParseTopicPartition("a-b-12")
	if want := (TopicPartition{Topic: "a-b", Partition: 12}); err != nil || got != want {
		t.Fatalf("got %v, %v; want %v", got, err, want)
	}
	if got.String() != "a-b-12" {
		t.Errorf("String() = %q", got)
	}
	for _, bad := range []string{"", "a", "a-", "a-x", "a-+1", "a-01", "a--1x", "-1", "a-2147483648"} {
		if tp, err := ParseTopicPartition(bad); err == nil {
			t.Errorf("ParseTopicPartition(%q) = %v, want an error", bad, tp)
		}
	}
}

func TestCollisionKey(t *testing.T) {
	if CollisionKey("a.b") != CollisionKey("a_b") || CollisionKey("a.b") == CollisionKey("a-b") {
		t.Error("exactly '.' and '_' collide")
	}
}

func TestBrokerLists(t *testing.T) {
	numbers := []int32{3, 1, 2}
	ids := BrokerIDs(numbers)
	if !slices.Equal(ids, []BrokerID{3, 1, 2}) || !slices.Equal(Int32s(ids), numbers) {
		t.Errorf("%v became %v and %v", numbers, ids, Int32s(ids))
	}
	if BrokerIDs([]int32{}) != nil {
		t.Error("no numbers are not nil: an image that was read back would differ from the one that was written")
	}
	if Int32s(nil) == nil {
		t.Error("no brokers are nil: messages would have null")
	}
}
