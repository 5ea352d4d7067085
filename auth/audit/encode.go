package audit

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxText bounds every text of an event, in bytes: some are a client's own.
const maxText = 2 << 10

// An entry waits to be written: an event without its place in the chain, or
// work to be done between two.
type entry struct {
	text   []byte
	work   func(*writer) error
	result chan error
}

// entries are used again, so that an event costs no memory.
var entries = sync.Pool{New: func() any { return &entry{} }}

// appendEvent writes what stands between the place in the chain and the hash. Attributes that
// are empty texts are left out.
func appendEvent(b []byte, at time.Time, e Event, attrs []slog.Attr) []byte {
	b = append(b, `"time":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","audit":"`...)
	b = append(append(b, e...), '"')
	for _, a := range attrs {
		b = appendAttr(b, a)
	}
	return b
}

func appendAttr(b []byte, a slog.Attr) []byte {
	if a.Value.Kind() == slog.KindString && a.Value.String() == "" || a.Value.Kind() == slog.KindAny && a.Value.Any() == nil {
		return b
	}
	b = appendText(append(b, ','), a.Key)
	return appendValue(append(b, ':'), a.Value)
}

func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendText(b, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'f', -1, 64)
	case slog.KindTime:
		b = v.Time().UTC().AppendFormat(append(b, '"'), time.RFC3339Nano)
		return append(b, '"')
	}
	raw, err := json.Marshal(v.Any()) // compact: no line ends in it
	if err != nil {
		return appendText(b, err.Error())
	}
	return append(b, raw...)
}

// JSON is a value as somebody else wrote it, on one line. One over limit bytes
// is not there; what remains is how long it was.
func JSON(key string, raw json.RawMessage, limit int) slog.Attr {
	var plain bytes.Buffer
	if len(raw) == 0 {
		return slog.String(key, "")
	}
	if len(raw) > limit || json.Compact(&plain, raw) != nil {
		return slog.Int(key+"_bytes", len(raw))
	}
	return slog.Any(key, json.RawMessage(plain.Bytes()))
}

const hexDigits = "0123456789abcdef"

// appendEscaped writes a character that is not seen where the log is read, or
// that would turn or break the line there, as JSON has it.
func appendEscaped(b []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		return appendEscaped(appendEscaped(b, high), low)
	}
	return append(b, '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
}

// appendText writes a JSON string. What is not UTF-8 becomes U+FFFD, and what
// is too long ends in an ellipsis.
func appendText(b []byte, s string) []byte {
	cut := len(s) > maxText
	if cut {
		for s = s[:maxText]; len(s) > 0 && !utf8.RuneStart(s[len(s)-1]); {
			s = s[:len(s)-1]
		}
		if len(s) > 0 && s[len(s)-1] >= utf8.RuneSelf {
			s = s[:len(s)-1]
		}
	}
	b = append(b, '"')
	plain := 0 // most texts are, to their end
	for plain < len(s) && 0x20 <= s[plain] && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\' {
		plain++
	}
	b, s = append(b, s[:plain]...), s[plain:]
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&0xf])
		case r == utf8.RuneError && s[i] != "\uFFFD"[0]:
			b = append(b, "\uFFFD"...)
		case r >= utf8.RuneSelf && !unicode.IsPrint(r):
			b = appendEscaped(b, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}
