package main

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A dumper writes an answer as text that is the same for every broker that behaves the same: defaults are left out, and
// what a broker may choose (IDs, hosts, sizes, the clock, the words of a message) is replaced by what it is, and several brokers are written as one.
type dumper struct {
	names map[[16]byte]string // topic IDs by the probe's own names
	tag   string              // the part of topic names that differs from run to run
	self  string              // the asked broker's ID where it is a name
	now   time.Time
	// ordered keeps the order of topics, partitions and the like, which few APIs promise: else they are sorted.
	ordered bool
	out     strings.Builder
}

// chosen are fields that a broker may choose if they are positive (or not empty).
var chosen = map[string]string{
	"ClusterID": "cluster", "Host": "host", "Port": "port", "NodeID": "node", "Leader": "node", "LeaderID": "node", "ControllerID": "node",
	"BrokerID": "node", "Replicas": "node", "ISR": "node", "Dir": "dir", "TotalBytes": "bytes", "UsableBytes": "bytes",
	"ProducerID": "producer", "SessionID": "session", "Documentation": "text",
	"MemberID": "member",
}

// ignored are fields that say nothing about the behaviour under test. A broker may explain an error or not.
var ignored = map[string]bool{
	"ErrorMessage": true, "AcknowledgeErrorMessage": true, "StatusDetail": true,
	"Version": true, "ThrottleMillis": true, "UnknownTags": true, "SupportedFeatures": true, "FinalizedFeatures": true,
	"FinalizedFeaturesEpoch": true, "ZkMigrationReady": true,
}

// structure writes what deviates from the message's defaults: plain fields on one line, then each structure in it, indented.
func (d *dumper) structure(name string, v reflect.Value, indent string) {
	fresh := reflect.New(v.Type())
	if f, ok := fresh.Interface().(interface{ Default() }); ok {
		f.Default()
	}
	line := name
	code := v.FieldByName("ErrorCode")
	failed := code.IsValid() && code.Int() != 0
	var nested []int
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		if ignored[f.Name] || reflect.DeepEqual(field.Interface(), fresh.Elem().Field(i).Interface()) {
			continue
		}
		if failed && f.Name == "LogStartOffset" { // Kafka says it with some errors, depending on who finds them
			continue
		}
		if text, plain := d.plain(f.Name, field); plain {
			if text != "" {
				line += " " + f.Name + "=" + text
			}
			continue
		}
		nested = append(nested, i)
	}
	d.out.WriteString(indent + line + "\n")
	for _, i := range nested {
		name, field := v.Type().Field(i).Name, v.Field(i)
		if field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		if field.Kind() == reflect.Struct {
			d.structure(name, field, indent+"  ")
			continue
		}
		var items []string
		for j := range field.Len() {
			item := dumper{names: d.names, tag: d.tag, self: d.self, now: d.now, ordered: d.ordered}
			item.structure(name, field.Index(j), indent+"  ")
			items = append(items, item.out.String())
		}
		if !d.ordered {
			sort.Strings(items)
		}
		if name == "Brokers" {
			items = slices.Compact(items)
		}
		d.out.WriteString(strings.Join(items, ""))
	}
}

// plain is a field as text, if it holds no structures. An empty text says nothing.
func (d *dumper) plain(name string, v reflect.Value) (text string, plain bool) {
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "null", true
		}
		v, t = v.Elem(), t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "", false
	case t == reflect.TypeFor[[]byte]() && (name == "ProtocolMetadata" || name == "MemberAssignment"):
		return fmt.Sprintf("%q", v.Bytes()), true
	case t == reflect.TypeFor[[]byte]():
		return batches(v.Bytes()), true
	case t == reflect.TypeFor[[16]byte]():
		return d.topic(v.Interface().([16]byte)), true
	case t.Kind() == reflect.Slice:
		var all []string
		for i := range v.Len() {
			item, _ := d.plain(name, v.Index(i))
			all = append(all, item)
		}
		if chosen[name] == "node" {
			all = slices.Compact(all)
		}
		if name == "Partitions" && !d.ordered {
			slices.Sort(all)
		}
		return "[" + strings.Join(all, " ") + "]", true
	}
	return d.scalar(name, v), true
}

func (d *dumper) scalar(name string, v reflect.Value) string {
	if name == "ErrorCode" || name == "AcknowledgeErrorCode" {
		return errorName(int16(v.Int()))
	}
	if what := chosen[name]; what != "" && (v.Kind() == reflect.String || v.CanInt() && v.Int() >= 0) {
		return "<" + what + ">"
	}
	switch v.Kind() {
	case reflect.String:
		if name == "ResourceName" && d.self != "" && v.String() == d.self {
			return `"<node>"`
		}
		return fmt.Sprintf("%q", strings.ReplaceAll(v.String(), d.tag, ""))
	case reflect.Int64:
		if at := time.UnixMilli(v.Int()); at.After(d.now.Add(-time.Hour)) && at.Before(d.now.Add(time.Hour)) {
			return "<now>"
		}
	}
	return fmt.Sprint(v.Interface())
}

func (d *dumper) topic(id [16]byte) string {
	if name, ok := d.names[id]; ok {
		return "<ID of " + strings.ReplaceAll(name, d.tag, "") + ">"
	}
	return "<another ID>"
}

func errorName(code int16) string {
	if code == 0 {
		return "NONE"
	}
	if err, ok := kerr.ErrorForCode(code).(*kerr.Error); ok && err.Code == code {
		return err.Message
	}
	return fmt.Sprintf("code %d", code)
}

// batches describes record batches by their headers: the parts that a broker stamps. A last batch that is cut short is left out: Kafka
// sends it when it does not fit, and clients skip it.
func batches(b []byte) string {
	var all []string
	for len(b) > 0 {
		if len(b) < 61 {
			break
		}
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) {
			break
		}
		all = append(all, fmt.Sprintf("batch at %d of %d records, epoch %d, attributes %#x", binary.BigEndian.Uint64(b),
			binary.BigEndian.Uint32(b[57:]), int32(binary.BigEndian.Uint32(b[12:])), binary.BigEndian.Uint16(b[21:])))
		b = b[size:]
	}
	return "{" + strings.Join(all, "; ") + "}"
}
