// Command gen writes docs/configuration.md from the settings' structs: names,
// defaults and bounds from their tags, explanations from their comments.
//
// It runs in internal/config ("go generate ./internal/config"). A test fails
// when the document is not what it would write.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"pombo/internal/config"
	"pombo/internal/docgen"
)

func main() { docgen.Main(document(".")) }

// document is the document of the package in the folder dir.
func document(dir string) docgen.File {
	return docgen.File{
		Path: filepath.Join(dir, "..", "..", "docs", "configuration.md"),
		Make: func() ([]byte, error) { return generate(dir) },
	}
}

const head = `<!-- Written by "go generate ./internal/config" from the comments in internal/config/config.go. Do not edit. -->

# Configuration

Pombo is configured by environment variables. Where the Evolution API has a variable for the same thing, its name is
the same, so that a ` + "`.env`" + ` file can be taken along. Three settings also have a flag of ` + "`pombo serve`" + `, which wins over
the variable.

- Without any variable set, Pombo runs: SQLite in ` + "`./data`" + `, port 8080, an API key of its own making.
- A value is taken without blanks and without one pair of quotes around it (Docker's ` + "`--env-file`" + ` leaves quotes in).
  An empty value counts as absent.
- ` + "`true`, `1`, `yes` and `on`" + ` mean true; ` + "`false`, `0`, `no` and `off`" + ` mean false.
- A value that is not allowed stops the start with a sentence that names the variable, the value and what is allowed.
  All of them are reported at once. Secrets are never shown.
- Variables that Pombo does not know are passed over. If one of them switches on something that the Evolution API has
  and Pombo has not, the start log names it.
`

// generate returns the document.
func generate(dir string) ([]byte, error) {
	comments, order, err := readComments(filepath.Join(dir, "config.go"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(head)
	variables := config.Variables()
	for _, section := range order {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", section, sectionText(section, comments[section]))
		b.WriteString("| Variable | Default | Allowed | Meaning |\n| --- | --- | --- | --- |\n")
		for _, v := range variables {
			if v.Section != section {
				continue
			}
			text := comments[section+"."+v.Field]
			if text == "" {
				return nil, fmt.Errorf("%s.%s has no comment", section, v.Field)
			}
			name := "`" + v.Key + "`"
			if v.Flag != "" {
				name += "<br>`--" + v.Flag + "`"
			}
			def := ""
			if v.Default != "" {
				def = "`" + v.Default + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, def, cell(v.Allowed), cell(text))
		}
		if section == "Webhook" {
			b.WriteString(eventsText())
		}
	}
	b.WriteString(ignoredText())
	return b.Bytes(), nil
}

// readComments returns the comments of a file's structs, by "Type" and by
// "Type.Field", and the order in which the first struct names the others.
func readComments(file string) (comments map[string]string, order []string, err error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing the settings' source: %w", err)
	}
	comments = make(map[string]string)
	for _, decl := range f.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		spec, ok := g.Specs[0].(*ast.TypeSpec)
		if !ok {
			continue
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		comments[spec.Name.Name] = paragraph(g.Doc.Text())
		for _, field := range s.Fields.List {
			name := field.Names[0].Name
			comments[spec.Name.Name+"."+name] = paragraph(field.Doc.Text())
			if id, ok := field.Type.(*ast.Ident); ok && spec.Name.Name == "Config" && ast.IsExported(name) {
				order = append(order, id.Name)
			}
		}
	}
	return comments, order, nil
}

// paragraph joins a comment's lines.
func paragraph(s string) string {
	var p comment.Parser
	return strings.Join(strings.Fields(string((&comment.Printer{TextWidth: -1}).Text(p.Parse(s)))), " ")
}

// sectionText turns "Server says where …" into "Where …".
func sectionText(name, text string) string {
	text = strings.TrimPrefix(strings.TrimPrefix(text, name+" "), "says ")
	r := []rune(text)
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

func cell(s string) string { return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(s) }

func eventsText() string {
	var b strings.Builder
	b.WriteString("\nThe events that the global webhook gets are chosen by variables that are true or false. If none of them is set, it\n" +
		"gets every event; as soon as one is, it gets those that are true. (In the Evolution API, none set means no events.)\n" +
		"`WEBHOOK_EVENTS_GROUPS_UPDATE` is accepted for `WEBHOOK_EVENTS_GROUP_UPDATE`.\n\n")
	b.WriteString(bullets(config.EventVariables()))
	return b.String()
}

func ignoredText() string {
	return "\n## Without effect\n\nThe start log names these variables of the Evolution API if they are set and switch something on:\n\n" +
		bullets(config.WithoutEffect())
}

// bullets writes names as a list, three a line.
func bullets(names []string) string {
	var b strings.Builder
	for line := range slices.Chunk(names, 3) {
		b.WriteString("- `" + strings.Join(line, "`, `") + "`\n")
	}
	return b.String()
}
