package gateway

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
)

// maxSecret is far more than any secret is long.
const maxSecret = 64 << 10

// readSecrets replaces every <key>File by the key with what the file holds.
func readSecrets(tree map[string]any, f *configFaults) {
	f.secrets("", tree, reflect.TypeFor[Config]())
}

func (f *configFaults) secrets(path string, v any, t reflect.Type) {
	switch v := v.(type) {
	case []any:
		for i, one := range v {
			f.secrets(indexKey(path, i), one, t.Elem())
		}
	case map[string]any:
		for _, key := range configKeys(t) {
			if key.file == "" {
				f.secrets(joinKey(path, key.name), v[key.name], key.typ)
			} else if file, ok := v[key.name].(string); ok {
				delete(v, key.name)
				f.secret(path, v, key, file)
			}
		}
	}
}

func (f *configFaults) secret(path string, group map[string]any, key configKey, file string) {
	if file == "" {
		return
	}
	if written, _ := group[key.file].(string); written != "" {
		f.refuse(joinKey(path, key.file), "is given twice, here and as %s; keep one", key.name)
		return
	}
	text, err := readSecret(file)
	if err != nil {
		f.refuse(joinKey(path, key.name), "%w", err)
		f.blind[joinKey(path, key.file)] = true
		return
	}
	group[key.file] = text
}

// readSecret reads a file but for the newline that editors put at its end.
func readSecret(path string) (string, error) {
	// A pipe would wait for a writer, at start-up and again at every reload.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", err
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	switch {
	case len(text) > maxSecret:
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxSecret)
	case len(text) == 0:
		return "", fmt.Errorf("%s is empty", path)
	case bytes.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Errorf("%s holds more than one line", path)
	}
	return string(text), nil
}
