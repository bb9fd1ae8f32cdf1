// Package peerpb holds the messages of the calls between brokers, generated from control.proto (`make proto`), and how they become bytes.
//
// Marshal and Unmarshal are the only ways in and out: Unmarshal refuses fields that are unknown, UnmarshalAnswer ignores them; control.proto says why.
//
// Concurrency: plain values.
package peerpb
