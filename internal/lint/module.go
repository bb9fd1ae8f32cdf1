package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// source is one Go file.
type source struct {
	name      string // from the module's root
	dir       string
	pkg       string // the path below internal/; "" elsewhere
	test      bool
	generated bool
	lines     int
	file      *ast.File
	fset      *token.FileSet
}

// load parses the module in fsys. Modules within it, testdata and hidden directories are not part of it.
func load(fsys fs.FS) ([]source, error) {
	var out []source
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if skipDir(fsys, name) {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".go":
			return nil
		}
		s, err := parse(fsys, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

func skipDir(fsys fs.FS, name string) bool {
	if name == "." {
		return false
	}
	base := path.Base(name)
	if base == "testdata" || base == "data" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
	return err == nil
}

func parse(fsys fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return source{}, err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	s := source{
		name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(f),
		lines: bytes.Count(text, []byte("\n")), file: f, fset: fset,
	}
	s.pkg = strings.TrimPrefix(s.dir+"/", "internal/")
	if s.pkg == s.dir+"/" {
		s.pkg = ""
	}
	s.pkg = strings.TrimSuffix(s.pkg, "/")
	return s, nil
}

// imports lists the import paths of the file, each with the name by which the file knows it.
func (s source) imports() map[string]string {
	out := make(map[string]string, len(s.file.Imports))
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		out[p] = name
	}
	return out
}

// uses yields each package.Name that the file mentions, with the package's real last path element.
func (s source) uses(yield func(qualified string, line int)) {
	real := make(map[string]string)
	for p, name := range s.imports() {
		real[name] = path.Base(p)
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && real[id.Name] != "" {
			yield(real[id.Name]+"."+sel.Sel.Name, s.line(sel))
		}
		return true
	})
}

func (s source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

// below tells whether p is prefix or a path below it.
func below(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }
