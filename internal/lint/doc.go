// Package lint is the house rules as a test: which package may import which, what the pure packages must not do, how
// large files and functions may get. docs/ARCHITECTURE.md gives the reasons. The tables are in layers.go; a rule that a
// change has to break is changed there, in the same commit, where a reviewer sees it.
//
// Everything works on an fs.FS, so that the tests first show each rule a module that breaks it, and then this one.
package lint
