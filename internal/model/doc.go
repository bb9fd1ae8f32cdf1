// Package model holds the small value types that every layer speaks in: offsets, epochs, identities.
//
// They are distinct types so that the compiler refuses an offset where an epoch belongs. The package
// imports nothing of Chronik and holds no behaviour beyond formatting, parsing and comparison.
package model
