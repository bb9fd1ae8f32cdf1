package lint

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

const internal = "chronik/internal/"

// check applies all rules and returns what they find, as file:line: text.
func check(files []source) []string {
	var out []string
	for _, rule := range []func([]source, func(source, int, string, ...any)){
		checkLayers, checkBans, checkSizes, checkSleeps, checkNames, checkDocs,
	} {
		rule(files, func(s source, line int, format string, args ...any) {
			out = append(out, fmt.Sprintf("%s:%d: ", s.name, line)+fmt.Sprintf(format, args...))
		})
	}
	slices.Sort(out)
	return out
}

type report = func(s source, line int, format string, args ...any)

// rank is a package's line in layers, the longest that fits; -1 if it is on none.
func rank(pkg string) int {
	best := -1
	for i, l := range layers {
		if below(pkg, l) && (best < 0 || len(l) > len(layers[best])) {
			best = i
		}
	}
	return best
}

func isTestOnly(pkg string) bool {
	return slices.ContainsFunc(testOnly, func(t string) bool { return below(pkg, t) })
}

// checkLayers: no import upward; nothing but tests imports what is for tests; commands and tests alone compose.
func checkLayers(files []source, report report) {
	for _, s := range files {
		if s.test || s.pkg == "" && !below(s.dir, "cmd") {
			continue
		}
		mine := rank(s.pkg)
		if s.pkg != "" && mine < 0 && !isTestOnly(s.pkg) {
			report(s, 1, "package %s has no line in internal/lint/layers.go: give it one", s.pkg)
		}
		for p := range s.imports() {
			target, ours := strings.CutPrefix(p, internal)
			switch {
			case strings.HasPrefix(p, "chronik/test") && s.pkg != "":
				report(s, 1, "imports %s, which is for tests", p)
			case !ours || isTestOnly(s.pkg):
			case isTestOnly(target):
				report(s, 1, "imports %s, which is for tests", target)
			case s.pkg != "" && rank(target) > mine:
				report(s, 1, "imports %s, which is above it", target)
			}
		}
	}
}

// checkBans: what single packages never import or do.
func checkBans(files []source, report report) {
	for _, s := range files {
		if s.test || s.generated {
			continue
		}
		for _, b := range bans {
			if s.pkg == "" || !below(s.pkg, b.path) || b.but != "" && below(s.pkg, b.but) {
				continue
			}
			for p := range s.imports() {
				if slices.ContainsFunc(b.imports, func(banned string) bool { return below(p, banned) }) {
					report(s, 1, "%s must not import %s: %s", b.path, p, b.why)
				}
			}
			s.uses(func(q string, line int) {
				if slices.Contains(b.uses, q) {
					report(s, line, "%s must not use %s: %s", b.path, q, b.why)
				}
			})
			if b.routine {
				checkRoutines(s, b, report)
			}
		}
	}
}

func checkRoutines(s source, b ban, report report) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			report(s, s.line(g), "%s must not start a goroutine: %s", b.path, b.why)
		}
		return true
	})
}

// checkSizes: files and functions that a reader can hold in mind.
func checkSizes(files []source, report report) {
	used := make(map[string]bool)
	for _, s := range files {
		if s.generated {
			continue
		}
		_, allowed := longFiles[s.name]
		used[s.name] = allowed && s.lines > wantFileLines
		switch {
		case s.lines > maxFileLines:
			report(s, s.lines, "more than %d lines: split it", maxFileLines)
		case s.lines > wantFileLines && !allowed:
			report(s, s.lines, "more than %d lines: split it, or say in longFiles why not", wantFileLines)
		}
		if !s.test {
			checkFunctions(s, report)
		}
	}
	for _, s := range files {
		if _, allowed := longFiles[s.name]; allowed && !used[s.name] {
			report(s, s.lines, "no longer needs its entry in longFiles")
		}
	}
}

func checkFunctions(s source, report report) {
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.fset.Position(f.End()).Line - s.line(f) + 1; n > maxFunctionLines {
			report(s, s.line(f), "function %s has %d lines, the most is %d", f.Name.Name, n, maxFunctionLines)
		}
	}
}

// checkSleeps: real time is slow and proves nothing. In a synctest bubble a sleep is a step of virtual time.
func checkSleeps(files []source, report report) {
	for _, s := range files {
		if _, virtual := s.imports()["testing/synctest"]; virtual && s.test {
			continue
		}
		s.uses(func(q string, line int) {
			if q == "time.Sleep" {
				report(s, line, "time.Sleep: wait for the event, or use testing/synctest")
			}
		})
	}
}

// checkNames: a package's name says what it holds.
func checkNames(files []source, report report) {
	for _, s := range files {
		if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(vague, name) || slices.Contains(vague, path.Base(s.dir)) {
			report(s, 1, "a package named %s says nothing of what it holds", name)
		}
	}
}

// checkDocs: each package says what it is for, in its doc.go or its main file.
func checkDocs(files []source, report report) {
	first := make(map[string]source)
	documented := make(map[string]bool)
	for _, s := range files {
		if s.file.Doc.Text() != "" && !s.generated {
			documented[s.dir] = true
		}
		if _, ok := first[s.dir]; !ok {
			first[s.dir] = s
		}
	}
	for dir, s := range first {
		if !documented[dir] {
			report(s, 1, "the package has no doc comment: give it a doc.go that says its purpose, invariants and concurrency rule")
		}
	}
}
