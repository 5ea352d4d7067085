package mcp_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing/mcp"
)

// hostile bodies of about n bytes are what could cost more than their size.
var hostile = map[string]func(n int) string{
	"levels":                       func(n int) string { return many(n, strings.Repeat("[", 100)+strings.Repeat("]", 100)) },
	"objects in objects":           func(n int) string { return many(n, strings.Repeat(`{"a":`, 100)+"1"+strings.Repeat("}", 100)) },
	"objects of 10,000 keys":       func(n int) string { return many(n, `{`+keys(9_999)+`}`) },
	"objects of 33 keys":           func(n int) string { return many(n, `{`+keys(33)+`}`) },
	"objects of 32 keys of a kind": func(n int) string { return many(n, `{`+alike(32)+`}`) },
	"escapes":                      func(n int) string { return `"` + strings.Repeat(`\u0041\n`, n/8) + `"` },
	"a key of escapes":             func(n int) string { return `{"` + strings.Repeat(`\u0041\n`, n/8) + `":1}` },
	"a long fraction":              func(n int) string { return "0." + strings.Repeat("1", n) },
	"exponents":                    func(n int) string { return many(n, "1e-5") },
}

// many repeats a value up to n bytes.
func many(n int, value string) string {
	return "[" + strings.Repeat(value+",", n/(len(value)+1)) + "0]"
}

// alike are members whose keys differ in the middle.
func alike(n int) string { return members(n, `"a%02dz":%d`) }

// TestParseKeepsLittle: the memory that a body costs grows with its size only.
func TestParseKeepsLittle(t *testing.T) {
	for name, shape := range hostile {
		small, large := allocated(t, shape(200_000)), allocated(t, shape(1_600_000))
		if large > 10*small+1<<16 || large > 2*1_600_000 {
			t.Errorf("%s: %d bytes for 200 KB, %d for 1,600", name, small, large)
		}
	}
}

// allocated is what it costs to read a value as an argument.
func allocated(t *testing.T, value string) uint64 {
	body := with(value)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := mcp.Parse(body); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// with is a call with one argument.
func with(value string) []byte {
	return []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","arguments":{"q":` + value + `}}}`)
}

func benchmarkParse(b *testing.B, body []byte) {
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mcp.Parse(body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse is one call. Measured with Go 1.26 on an AMD EPYC of 2.6 GHz,
// time of one processor, the median of five runs. Each costs two allocations,
// for the calls and for the name of the tool; the last two, of 9,000 keys and
// more in one object, 16:
//
//	190B                            0.3 µs     570 MB/s
//	1KB, 21 arguments               0.9 µs   1,050 MB/s
//	1MB, one text                  0.25 ms   4,000 MB/s
//	1MB, one text of lines         0.81 ms   1,150 MB/s
//	1MB, one text, in Chinese      0.93 ms   1,070 MB/s
//	1MB, a list of numbers         2.23 ms     450 MB/s
//	1MB, a list of small objects   2.20 ms     455 MB/s
//	1MB, a list of rows            1.34 ms     745 MB/s
//	1MB, an object of rows         1.74 ms     540 MB/s
//	130KB, an object of numbers    0.62 ms     205 MB/s
func BenchmarkParse(b *testing.B) {
	row := `{"id": 12345, "name": "some name", "mail": "ada@example.com", "score": 0.25, "tags": ["a", "b"]}`
	var rows strings.Builder
	for i := range 9_000 {
		fmt.Fprintf(&rows, `"k%d":%s,`, i, row)
	}
	for name, value := range map[string]string{
		"190B":                         `"` + strings.Repeat("a", 90) + `"`,
		"1KB, 21 arguments":            `"` + strings.Repeat("some text ", 70) + `",` + keys(20),
		"1MB, one text":                `"` + strings.Repeat("some text ", 100_000) + `"`,
		"1MB, one text of lines":       `"` + strings.Repeat(`\tfmt.Println(\"some text\")\n`, 31_000) + `"`,
		"1MB, one text, in Chinese":    `"` + strings.Repeat("中文", 166_000) + `"`,
		"1MB, a list of numbers":       many(1_000_000, "1234"),
		"1MB, a list of small objects": many(1_000_000, `{"a":1,"b":[true,null]}`),
		"1MB, a list of rows":          many(1_000_000, row),
		"1MB, an object of rows":       `{` + rows.String() + `"last":0}`,
		"130KB, an object of numbers":  `{` + keys(9_999) + `}`,
	} {
		b.Run(name, func(b *testing.B) { benchmarkParse(b, with(value)) })
	}
}

// BenchmarkParseHostile: eight times the size may cost eight times as much.
// Measured as above, 1 MB costs 8.0 ms as objects of 32 keys of a kind, 6.5 ms
// as objects of 33 keys, and less than 4 ms as anything else here; 8 MB cost
// 7.6 to 9.2 times as much.
func BenchmarkParseHostile(b *testing.B) {
	for name, shape := range hostile {
		for size, n := range map[string]int{"1MB": 1_000_000, "8MB": 8_000_000} {
			b.Run(size+", "+name, func(b *testing.B) { benchmarkParse(b, with(shape(n))) })
		}
	}
}

// BenchmarkTextOf is one of 22 arguments of 800 bytes: 1.0 µs, one allocation.
func BenchmarkTextOf(b *testing.B) {
	arguments := []byte(`{"path":"some/path","q":"` + strings.Repeat("some text ", 60) + `",` + keys(20) + `}`)
	b.SetBytes(int64(len(arguments)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := mcp.TextOf(arguments, "path"); !ok {
			b.Fatal()
		}
	}
}
