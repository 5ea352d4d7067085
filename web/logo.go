package web

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// MaxLogo bounds a logo, in bytes: it is shown a finger's breadth high.
const MaxLogo = 64 << 10

// A Logo is the operator's picture, served from our own origin.
type Logo struct {
	body        []byte
	contentType string
}

// ReadLogo reads a PNG, JPEG, WebP or SVG file. An SVG is refused that could
// do more than be looked at.
func ReadLogo(path string) (*Logo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	body, err := io.ReadAll(io.LimitReader(f, MaxLogo+1))
	if err != nil {
		return nil, err
	}
	if len(body) > MaxLogo {
		return nil, fmt.Errorf("%s is larger than %d KiB", path, MaxLogo>>10)
	}
	switch kind := http.DetectContentType(body); {
	case kind == "image/png" || kind == "image/jpeg" || kind == "image/webp":
		return &Logo{body, kind}, nil
	case strings.HasPrefix(kind, "text/"): // of any kind: it is XML, or it is refused
		if err := harmlessSVG(body); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return &Logo{body, "image/svg+xml"}, nil
	}
	return nil, fmt.Errorf("%s is not a PNG, JPEG, WebP or SVG", path)
}

// harmlessSVG refuses scripts, what loads from elsewhere, and what holds another
// language. Pages show a logo as a picture, in which none of it would run; but
// a picture can also be opened by itself, at our origin.
func harmlessSVG(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	for depth := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && depth > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("not an SVG: %w", err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("an SVG with a document type is not taken")
		case xml.ProcInst:
			if t.Target != "xml" {
				return fmt.Errorf("an SVG with <?%s?> is not taken", t.Target)
			}
		case xml.StartElement:
			if depth == 0 && t.Name.Local != "svg" {
				return fmt.Errorf("not an SVG: it begins with <%s>", t.Name.Local)
			}
			depth++
			if err := harmlessElement(t); err != nil {
				return err
			}
		}
	}
}

func harmlessElement(t xml.StartElement) error {
	switch name := strings.ToLower(t.Name.Local); name {
	case "script", "foreignobject", "iframe", "object", "embed", "image", "style", "a", "set", "handler", "animate":
		return fmt.Errorf("an SVG with <%s> is not taken", name)
	}
	for _, a := range t.Attr {
		name, value := strings.ToLower(a.Name.Local), strings.ToLower(strings.TrimSpace(a.Value))
		switch {
		case a.Name.Space == "xmlns" || name == "xmlns":
		case strings.HasPrefix(name, "on"):
			return fmt.Errorf("an SVG with a script in %s is not taken", name)
		case name == "href" && !strings.HasPrefix(value, "#"), strings.Count(value, "url(") > strings.Count(value, "url(#"), strings.Contains(value, "javascript:"):
			return fmt.Errorf("an SVG that loads something (%s) is not taken", name)
		}
	}
	return nil
}
