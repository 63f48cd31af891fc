package evolution

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"pombo"
)

// fail returns an Invalid error about the character at p.pos.
func (p *parser) fail(what, hint string) error {
	line, column := p.position(p.pos)
	if hint != "" {
		what += ": " + hint
	}
	return pombo.Errorf(pombo.Invalid, "Invalid JSON at line %d, column %d: %s", line, column, what)
}

// position returns the line and column, in characters from 1, of an offset.
func (p *parser) position(offset int) (line, column int) {
	before := string(p.src[:offset])
	line = strings.Count(before, "\n") + 1
	if i := strings.LastIndexByte(before, '\n'); i >= 0 {
		before = before[i+1:]
	}
	return line, utf8.RuneCountInString(before) + 1
}

// unexpected says that something else than wanted stands at p.pos, and guesses
// why.
func (p *parser) unexpected(wanted string) error {
	if p.pos >= len(p.src) {
		return p.ends(wanted)
	}
	return p.fail(fmt.Sprintf("found %s where %s should be", p.found(), wanted), p.hint(wanted))
}

// found quotes the word or character at p.pos.
func (p *parser) found() string {
	end := p.pos
	for end < len(p.src) && isWord(p.src[end]) && end-p.pos < 40 {
		end++
	}
	if end == p.pos {
		_, n := utf8.DecodeRune(p.src[p.pos:])
		end += n
	}
	return fmt.Sprintf("%q", p.src[p.pos:end])
}

// hint guesses the cause of the unexpected character at p.pos from the mistakes
// that people make with the Set Webhook document and its like.
func (p *parser) hint(wanted string) string {
	rest := string(p.src[p.pos:min(len(p.src), p.pos+200)])
	switch {
	case strings.HasPrefix(rest, "//"), strings.HasPrefix(rest, "/*"), strings.HasPrefix(rest, "#"):
		return `JSON has no comments: remove the lines that begin with "//", and the comma before the closing bracket`
	case (rest[0] == ']' || rest[0] == '}') && p.afterComma():
		line, column := p.position(p.comma)
		return fmt.Sprintf("remove the comma after the last element (line %d, column %d)", line, column)
	case rest[0] == '\'':
		return `use double quotes (") in place of single ones`
	case hasAnyPrefix(rest, "“", "”", "„", "‘", "’", "«", "»"):
		return `use straight double quotes (") in place of typographic ones`
	case strings.HasPrefix(rest, "{") && strings.HasPrefix(wanted, "a key"):
		return "{{ … }} is a template's placeholder: it was not filled in"
	}
	if word := placeholder(p.src, p.pos); word != "" {
		return fmt.Sprintf("[%s] is a placeholder of the documentation: replace it, brackets included, by your value in double quotes", word)
	}
	if isWord(rest[0]) || rest[0] == '+' {
		return p.bareWord(rest, wanted)
	}
	if rest[0] == '"' && strings.HasPrefix(wanted, "a comma") {
		return "a comma is missing before it"
	}
	return ""
}

// bareWord explains a word without quotes.
func (p *parser) bareWord(rest, wanted string) string {
	word := rest
	if i := strings.IndexFunc(word, func(r rune) bool { return r < utf8.RuneSelf && !isWord(byte(r)) }); i >= 0 {
		word = word[:i]
	}
	if p.depth == 0 && strings.Contains(rest, "=") && !strings.ContainsAny(rest, "{[\"") {
		return "the body looks like a form: send JSON, for example {\"enabled\": true, …}"
	}
	switch word {
	case "True", "TRUE":
		return "write true"
	case "False", "FALSE":
		return "write false"
	case "None", "NULL", "Null", "undefined", "nil", "NaN":
		return "write null, or leave the key out"
	}
	if strings.HasPrefix(wanted, "a comma") {
		return `a comma or a double quote is missing before it; within a text, write " as \"`
	}
	return "put it in double quotes"
}

// afterComma tells whether only space stands between the last comma and p.pos.
func (p *parser) afterComma() bool {
	return p.comma >= 0 && strings.TrimSpace(string(p.src[p.comma+1:p.pos])) == ""
}

// placeholder returns the word of a "[word]" around or at offset i: the
// documentation writes [webhookUrl] for what the reader must fill in.
func placeholder(src []byte, i int) string {
	if i > 0 && src[i] != '[' {
		i-- // the parser has gone past the bracket
	}
	for i > 0 && (src[i] == ' ' || src[i] == '\t') {
		i--
	}
	if src[i] != '[' {
		return ""
	}
	word := strings.TrimLeft(string(src[i+1:min(len(src), i+60)]), " \t")
	end := strings.IndexByte(word, ']')
	if end <= 0 {
		return ""
	}
	word = strings.TrimSpace(word[:end])
	for k := range len(word) {
		if !isWord(word[k]) && word[k] != ' ' && word[k] != '-' {
			return ""
		}
	}
	if word == "" || word[0] <= '9' || word == "true" || word == "false" || word == "null" {
		return ""
	}
	return word
}

// ends says that the body stops before wanted.
func (p *parser) ends(wanted string) error {
	p.pos = len(p.src)
	hint := ""
	if n := len(p.open); n > 0 {
		line, column := p.position(p.open[n-1])
		closing := map[byte]string{'{': "}", '[': "]"}[p.src[p.open[n-1]]]
		hint = fmt.Sprintf("the %q of line %d, column %d is not closed by a %q", p.src[p.open[n-1]], line, column, closing)
	}
	return p.fail("the body ends where "+wanted+" should be", hint)
}

// trailing explains what follows after the end of the top-level value.
func (p *parser) trailing() error {
	hint := p.hint("the end of the body")
	switch p.src[p.pos] {
	case '}', ']':
		hint = "there is one closing bracket too many"
	case '{', '[', ',':
		hint = "send one object only"
	}
	return p.fail(fmt.Sprintf("found %s after the end of the object", p.found()), hint)
}

// controlCharacter explains a raw control character within a string.
func (p *parser) controlCharacter(c byte, opening int) error {
	name, hint := fmt.Sprintf("the control character 0x%02X", c), fmt.Sprintf(`write it as \u%04x`, c)
	switch c {
	case '\n', '\r':
		name = "a line break"
		hint = `write it as \n`
		if c == '\r' {
			hint = `write it as \r\n`
		}
		line, column := p.position(opening)
		hint += fmt.Sprintf(`, or close the string of line %d, column %d with a "`, line, column)
	case '\t':
		name, hint = "a tab", `write it as \t`
	case 0:
		hint = "leave it out"
	}
	return p.fail(name+" stands within a string", hint)
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
