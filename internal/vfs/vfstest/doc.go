// Package vfstest holds the tests that every vfs.FS has to pass: the semantics that the callers of the interface rely
// on while the power stays on. What a power cut leaves is tested where it is simulated, in crashfs.
//
// For tests only.
package vfstest
