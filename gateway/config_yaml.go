package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readYAML reads the text into a tree of the shape of Config. JSON is YAML. It
// fails if the text is no tree at all; then nothing else is known.
func readYAML(text []byte, f *configFaults) (tree map[string]any, ok bool) {
	v, err := decodeYAML(text, f)
	if err != nil {
		f.add("%w", err)
		return nil, false
	}
	if v == nil {
		return map[string]any{}, true
	}
	shaped, _ := f.shape("", v, reflect.TypeFor[Config]())
	tree, ok = shaped.(map[string]any)
	return tree, ok
}

func decodeYAML(text []byte, f *configFaults) (v any, err error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("yaml: there is more than one document; only one is read")
	}
	dropTwins("", &doc, f)
	return v, doc.Decode(&v)
}

// dropTwins reports keys that are there twice and keeps the first of them.
// Spellings that differ in case alone are one key.
func dropTwins(path string, n *yaml.Node, f *configFaults) {
	if n.Kind != yaml.MappingNode {
		for i, child := range n.Content {
			at := path
			if n.Kind == yaml.SequenceNode {
				at = indexKey(path, i)
			}
			dropTwins(at, child, f)
		}
		return
	}
	lines := map[string]int{}
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := joinKey(path, key.Value)
		if first, twice := lines[strings.ToLower(key.Value)]; twice {
			f.refuse(at, "is there twice, on line %d and on line %d%s", first, key.Line, f.from)
			continue
		}
		lines[strings.ToLower(key.Value)] = key.Line
		dropTwins(at, value, f)
		kept = append(kept, key, value)
	}
	n.Content = kept
}

// decodeInline is decodeYAML for a value that stands alone.
func decodeInline(text string, f *configFaults) (any, error) {
	v, err := decodeYAML([]byte(text), f)
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	return v, nil
}
