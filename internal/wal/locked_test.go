package wal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
)

// TestPanicLeavesTheMutex: a core that finds itself broken ends the process. The deferred calls on the panic's way, which pass turn and
// upkeep on, must find the mutex free: else the broker stands still, and all that waits for it.
func TestPanicLeavesTheMutex(t *testing.T) {
	queued := func(l *Log) { l.core.head, l.core.inflight = newGroup(), newGroup() }
	lost := func(l *Log) { l.core.segs = nil }
	for name, c := range map[string]struct {
		hurt func(*Log)
		call func(*Log)
	}{
		"append":    {func(*Log) {}, func(l *Log) { _, _ = l.Append(Append{Batch: batch(1, 10, 1, nil)[:20], Epoch: model.NoEpoch}) }},
		"commit":    {queued, func(l *Log) { l.commit(false) }},
		"round":     {queued, func(l *Log) { l.shared = true; l.join() }},
		"close":     {queued, func(l *Log) { _ = l.Close() }},
		"read":      {lost, func(l *Log) { _, _ = l.Read(0, 1, 100, true) }},
		"truncate":  {lost, func(l *Log) { _ = l.Truncate(0) }},
		"retention": {func(l *Log) { l.core.segs = []*segment{nil} }, func(l *Log) { _, _ = l.EnforceRetention(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			com := NewSteppedCommitter(CommitterOptions{FS: crashfs.New(1), OpenFiles: 4, Now: time.Now})
			l, _, err := Open(Options{FS: com.fs, Dir: "d", Partition: model.TopicPartition{Topic: "t"}, Config: DefaultConfig(), Committer: com})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Append(Append{Batch: batch(1, 10, 1, nil), Epoch: model.NoEpoch}); err != nil {
				t.Fatal(err)
			}
			for com.StepCommit() {
			}
			c.hurt(l)
			free := make(chan bool, 1)
			go func() {
				defer func() { free <- recover() != nil && l.mu.TryLock() }()
				c.call(l)
			}()
			select {
			case ok := <-free:
				if !ok {
					t.Error("no panic, or the mutex is still held")
				}
			case <-time.After(20 * time.Second):
				t.Error("the panic does not come up: a deferred call waits for the mutex")
			}
		})
	}
}

// harmless are the calls that may be made between Lock and an Unlock that is not deferred: they look or set, and cannot panic.
const harmless = " len min max int64 append make delete Unlock Add Load Store Errorf push pass drop tryTake line viewOf newCore file active hold unlink link victim "

// TestLockedSections: whoever holds a mutex and does not defer its unlock calls nothing that could panic.
func TestLockedSections(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sections := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			block, ok := n.(*ast.BlockStmt)
			if !ok {
				return true
			}
			held := false
			for i, s := range block.List {
				switch {
				case callOf(s) == "Lock":
					sections++
					d, ok := block.List[i+1].(*ast.DeferStmt)
					held = !(ok && calledName(d.Call) == "Unlock")
				case callOf(s) == "Unlock":
					held = false
				case held:
					for _, call := range callsIn(s) {
						if !strings.Contains(harmless, " "+calledName(call)+" ") {
							t.Errorf("%s: %s is called with a mutex held whose unlock is not deferred: see Log.locked", fset.Position(call.Pos()), calledName(call))
						}
					}
				}
			}
			return true
		})
	}
	if sections < 50 {
		t.Errorf("only %d locked sections found", sections)
	}
}

// callOf names the function that a statement is a call of, if it is one.
func callOf(s ast.Stmt) string {
	if e, ok := s.(*ast.ExprStmt); ok {
		if c, ok := e.X.(*ast.CallExpr); ok {
			return calledName(c)
		}
	}
	return ""
}

func calledName(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return "a function value"
}

// callsIn finds the calls in a statement that are made with what is held there: not those after an unlock of a branch of its own.
func callsIn(s ast.Stmt) (calls []*ast.CallExpr) {
	ast.Inspect(s, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BlockStmt:
			for _, in := range n.List {
				if callOf(in) == "Unlock" {
					break
				}
				calls = append(calls, callsIn(in)...)
			}
			return false
		case *ast.CallExpr:
			calls = append(calls, n)
		}
		return true
	})
	return calls
}
