package schema

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"chronik/internal/model"
)

// golden is one record of Kafka's.
type golden struct {
	title      string
	topic      *Topic
	key, value []byte
	json       []json.RawMessage // of key and value; empty: not known
}

func readGolden(t testing.TB, name string) (out []golden) {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	topics := map[string]*Topic{Groups.Name: Groups, Transactions.Name: Transactions, Shares.Name: Shares}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return b
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		g := &golden{}
		if len(out) > 0 {
			g = &out[len(out)-1]
		}
		switch verb {
		case "record":
			topic, _, _ := strings.Cut(strings.TrimPrefix(rest, "topic="), " ")
			out = append(out, golden{title: rest, topic: topics[topic]})
		case "key":
			g.key = unhex(rest)
		case "value":
			if rest != "null" {
				g.value = unhex(rest)
			}
		case "json":
			d := json.NewDecoder(strings.NewReader(rest))
			for d.More() {
				var m json.RawMessage
				if err := d.Decode(&m); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				g.json = append(g.json, m)
			}
		}
	}
	return out
}

// TestKafkasClasses reads all that Kafka's classes write, in all versions, holds it against what Kafka says is in it, and writes it as
// Kafka does.
func TestKafkasClasses(t *testing.T) {
	all := readGolden(t, "testdata/classes.txt")
	seen := make(map[string]bool)
	for _, g := range all {
		t.Run(g.title, func(t *testing.T) {
			r, err := g.topic.Decode(g.key, g.value)
			if err != nil {
				t.Fatal(err)
			}
			seen[fmt.Sprintf("%T", r)] = true
			v := reflect.ValueOf(r).Elem()
			checkJSON(t, "key", g.json[0], v.FieldByName("Key"))
			checkJSON(t, "value", g.json[1], v.FieldByName("Value").Elem())
			checkEncoding(t, g, r)
		})
	}
	if want := len(byTypes); len(seen) != want {
		t.Errorf("%d types of records were read, there are %d", len(seen), want)
	}
}

// TestKafkasBroker reads what a broker of Kafka's had in its topics and writes it again, byte for byte.
func TestKafkasBroker(t *testing.T) {
	tombstones := 0
	for _, g := range readGolden(t, "testdata/broker.txt") {
		t.Run(g.title, func(t *testing.T) {
			r, err := g.topic.Decode(g.key, g.value)
			if err != nil {
				t.Fatal(err)
			}
			if r.Tombstone() {
				tombstones++
			}
			if key, value, err := Encode(r); err != nil || !bytes.Equal(key, g.key) || !bytes.Equal(value, g.value) {
				t.Errorf("%+v is written as %x %x, %v, want %x %x", r, key, value, err, g.key, g.value)
			}
		})
	}
	if tombstones == 0 {
		t.Error("there was no tombstone among them")
	}
}

// checkEncoding writes a record. In another version than it had, it must still say the same.
func checkEncoding(t *testing.T, g golden, r Record) {
	t.Helper()
	key, value, err := Encode(r)
	if err != nil || !bytes.Equal(key, g.key) {
		t.Fatalf("the key is written as %x, %v, want %x", key, err, g.key)
	}
	if bytes.Equal(value, g.value) {
		return
	}
	if bytes.Equal(value[:2], g.value[:2]) {
		t.Fatalf("%+v is written as\n%x, want\n%x", r, value, g.value)
	}
	again, err := g.topic.Decode(key, value)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r, again, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("written in another version, it says something else: %s", d)
	}
}

// names are Kafka's names of fields, in lower case, where ours are others.
var names = map[string]string{
	"groupid": "group", "memberid": "member", "regularexpression": "pattern",
	"transactiontimeoutms": "timeoutms", "transactionstatus": "status", "transactionpartitions": "partitions", "partitionids": "partitions",
	"transactionlastupdatetimestampms": "lastupdatetimestamp", "transactionstarttimestampms": "starttimestamp",
	"clienttransactionversion": "clientversion",
}

// field finds a field by Kafka's name.
func field(v reflect.Value, name string) reflect.Value {
	name = strings.ToLower(name)
	by := func(name string) reflect.Value {
		return v.FieldByNameFunc(func(s string) bool { return strings.ToLower(s) == name })
	}
	if f := by(name); f.IsValid() {
		return f
	}
	return by(names[name])
}

// checkJSON holds what was read against what Kafka says it is.
func checkJSON(t *testing.T, path string, want json.RawMessage, got reflect.Value) {
	t.Helper()
	for got.Kind() == reflect.Pointer && !got.IsNil() {
		got = got.Elem()
	}
	var says any
	switch v := got.Interface().(type) {
	case model.TopicID:
		says = v.String()
	case []byte:
		says = base64.StdEncoding.EncodeToString(v)
	}
	switch {
	case says != nil:
	case string(want) == "null":
		if !got.IsNil() {
			t.Errorf("%s is %v, want null", path, got)
		}
		return
	case got.Kind() == reflect.Struct:
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(want, &fields); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for name, f := range fields {
			ours := field(got, name)
			if !ours.IsValid() {
				t.Errorf("%s.%s is missing", path, name)
				continue
			}
			checkJSON(t, path+"."+name, f, ours)
		}
		return
	case got.Kind() == reflect.Slice:
		var elements []json.RawMessage
		if err := json.Unmarshal(want, &elements); err != nil || len(elements) != got.Len() {
			t.Fatalf("%s has %d elements, want %s", path, got.Len(), want)
		}
		for i := range elements {
			checkJSON(t, fmt.Sprintf("%s[%d]", path, i), elements[i], got.Index(i))
		}
		return
	default:
		says = got.Interface()
	}
	text, err := json.Marshal(says)
	if err != nil || string(text) != string(want) {
		t.Errorf("%s is %s, want %s", path, text, want)
	}
}
