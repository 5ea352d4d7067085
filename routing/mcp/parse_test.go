package mcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"mcp-oauth2-proxy/routing/mcp"
)

const get = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","arguments":{}}}`

var readable = map[string]struct{ body, want string }{
	"a call":                                {get, "tools/call get 1"},
	"space where JSON allows it":            {" \t\r\n" + get + "\n ", "tools/call get 1"},
	"keys in another order":                 {`{"params":{"arguments":{"name":"x"},"name":"get"},"id":"a","method":"tools/call"}`, `tools/call get "a"`},
	"escapes in keys and values":            {`{"\u006Dethod":"tools\/call","p\u0061rams":{"n\u0061me":"\u0067et"}}`, "tools/call get "},
	"a character beyond the basic plane":    {`{"method":"tools/call","params":{"name":"\ud83d\ude00"}}`, "tools/call 😀 "},
	"the same name among the arguments":     {`{"method":"tools/call","params":{"name":"get","arguments":{"name":"put","Name":"x","method":"y"}}}`, "tools/call get "},
	"a call among the arguments":            {`{"method":"tools/call","params":{"name":"get","arguments":{"a":[` + get + `]}}}`, "tools/call get "},
	"a call among the results":              {`{"id":1,"result":{"method":"tools/call","params":{"name":"x"}}}`, "  1"},
	"a list":                                {`{"jsonrpc":"2.0","id":1.5,"method":"tools/list","params":{}}`, "tools/list  1.5"},
	"a notification":                        {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, "notifications/initialized  "},
	"an error":                              {`{"id":null,"error":{"code":-1,"message":""}}`, "  null"},
	"a prompt":                              {`{"method":"prompts/get","params":{"name":"p"}}`, "prompts/get p "},
	"a resource":                            {`{"method":"resources/read","params":{"uri":"file:///a"}}`, "resources/read file:///a "},
	"a task":                                {`{"method":"tasks/cancel","params":{"taskId":"t"}}`, "tasks/cancel t "},
	"params that are a list, of no call":    {`{"method":"x","params":[1]}`, "x  "},
	"other keys in params in any case":      {`{"method":"x","params":{"Name":1,"NAME":2}}`, "x  "},
	"half a surrogate in a text":            {`{"method":"tools/call","params":{"name":"get","arguments":{"t":"cut \ud83d"}}}`, "tools/call get "},
	"NUL in a text":                         {`{"method":"tools/call","params":{"name":"get","arguments":{"t":"a\u0000b"}}}`, "tools/call get "},
	"a batch":                               {"[" + get + ` , {"method":"x"}]`, "tools/call get 1; x  "},
	"an empty batch":                        {"[ ]", ""},
	"numbers of all kinds":                  {`{"a":[0,-0,1.25,1e3,-1.5E-7,12345678901234567890,1e-999]}`, "  "},
	"numbers a float just holds":            {`{"a":[1e308,-1.7e+308,` + strings.Repeat("9", 308) + `,1` + strings.Repeat("0", 209) + `e99,0.` + strings.Repeat("0", 400) + `1e400,0e9999]}`, "  "},
	"keys that only resemble":               {`{"methods":1,"meth":2,"ID2":3,"id ":4}`, "  "},
	"as many levels as are allowed":         {`{"a":` + strings.Repeat("[", 127) + strings.Repeat("]", 127) + "}", "  "},
	"as many levels of objects":             {strings.Repeat(`{"a":`, 128) + "1" + strings.Repeat("}", 128), "  "},
	"many keys":                             {`{"a":{` + keys(1000) + `}}`, "  "},
	"keys that only begin and end alike":    {`{"a":{"ab":1,"b]":2,"axb":3,"ayb":4,"":5," ":6}}`, "  "},
	"a key that is the same one level down": {`{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}`, "  "},
}

func TestParseReads(t *testing.T) {
	for name, tc := range readable {
		t.Run(name, func(t *testing.T) {
			calls, err := mcp.Parse([]byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range calls {
				got = append(got, fmt.Sprintf("%s %s %s", c.Method, c.Name, c.ID))
				if (c.Method == "tools/call") != (c.Tool != "") {
					t.Errorf("%+v", c)
				}
			}
			if s := strings.Join(got, "; "); s != tc.want {
				t.Errorf("got %q, want %q", s, tc.want)
			}
		})
	}
}

var ambiguous = map[string]string{
	"H8 a key twice":                           `{"method":"tools/list","method":"tools/call","params":{"name":"x"}}`,
	"H8 a key twice, once escaped":             `{"method":"tools/list","meth\u006fd":"tools/call"}`,
	"H8 a name twice":                          `{"method":"tools/call","params":{"name":"a","name":"b"}}`,
	"H8 params twice":                          `{"method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}`,
	"H8 a key twice, deep down":                `{"method":"tools/call","params":{"name":"a","arguments":{"x":[{"y":1,"y":2}]}}}`,
	"H8 a key twice among very many":           `{"a":{` + keys(1000) + `,"k7":1}}`,
	"H8 a key twice, both late":                `{"a":{` + keys(1000) + `,"z":1,"z":2}}`,
	"H8 Method":                                `{"Method":"tools/call","params":{"name":"x"}}`,
	"H8 METHOD beside method":                  `{"method":"tools/list","METHOD":"tools/call"}`,
	"H8 Params":                                `{"method":"tools/call","Params":{"name":"x"},"params":{"name":"y"}}`,
	"H8 param\u017f, to Unicode params":        `{"method":"tools/call","param\u017f":{"name":"x"},"params":{"name":"y"}}`,
	"H8 \u0131d, in Turkish id":                `{"\u0131d":1}`,
	"H8 \u0130D, in Turkish id":                `{"\u0130D":1}`,
	"H8 JSONRPC":                               `{"JSONRPC":"2.0"}`,
	"H8 Id":                                    `{"Id":1}`,
	"H8 Name":                                  `{"method":"tools/call","params":{"name":"a","Name":"b"}}`,
	"H8 Name, before the method":               `{"params":{"Name":"b","name":"a"},"method":"tools/call"}`,
	"H8 Name, before others":                   `{"method":"tools/call","params":{"Name":"b","name":"a","other":1}}`,
	"H8 Arguments":                             `{"method":"tools/call","params":{"name":"a","Arguments":{}}}`,
	"H8 Tools/Call":                            `{"method":"Tools/Call","params":{"name":"a"}}`,
	"H8 tools/call with a space":               `{"method":"tools/call ","params":{"name":"a"}}`,
	"H8 a call without params":                 `{"method":"tools/call"}`,
	"H8 a call with a list of params":          `{"method":"tools/call","params":["x"]}`,
	"H8 a call without a name":                 `{"method":"tools/call","params":{}}`,
	"H8 a name that is a number":               `{"method":"tools/call","params":{"name":1}}`,
	"H8 a name that is a list":                 `{"method":"tools/call","params":{"name":["x"]}}`,
	"H8 a method that is no string":            `{"method":["tools/call"]}`,
	"H8 a method that is null":                 `{"method":null}`,
	"H8 an id that is an object":               `{"id":{}}`,
	"H8 an id that is true":                    `{"id":true}`,
	"H8 NUL in a key":                          `{"method\u0000x":1}`,
	"H8 NUL in a name":                         `{"method":"tools/call","params":{"name":"a\u0000b"}}`,
	"H8 half a surrogate in a name":            `{"method":"tools/call","params":{"name":"\ud800"}}`,
	"H8 half a surrogate in a name, then more": `{"method":"tools/call","params":{"name":"\ud800\n"}}`,
	"H8 the second half of one":                `{"method":"\udc00"}`,
	"H8 two first halves":                      `{"method":"\ud800\ud800"}`,
	"H8 half a surrogate in a key":             `{"\ud800":1}`,
	"H8 half a surrogate at the end":           `{"method":"\ud800`,
	"H8 not UTF-8":                             "{\"method\":\"x\xff\"}",
	"H8 UTF-8 that is too long":                "{\"method\":\"x\xc0\xaf\"}",
	"H8 a surrogate in UTF-8":                  "{\"method\":\"x\xed\xa0\x80\"}",
	"H8 a byte order mark":                     "\xef\xbb\xbf" + get,
	"H8 UTF-16":                                "{\x00}\x00",
	"H8 something after":                       get + get,
	"H8 a bracket after":                       get + "]",
	"H8 NUL after":                             get + "\x00",
	"H8 nothing":                               "",
	"H8 only space":                            " \n",
	"H8 a string":                              `"tools/call"`,
	"H8 a number":                              `1`,
	"H8 a batch in a batch":                    "[[" + get + "]]",
	"H8 a batch with a string":                 "[" + get + `,"x"]`,
	"H8 a batch whose second is bad":           "[" + get + `,{"Method":"x"}]`,
	"H8 a batch without an end":                "[" + get,
	"H8 a comma too many":                      `{"a":1,}`,
	"H8 a comma too many in a list":            `{"a":[1,]}`,
	"H8 a comma at the start":                  `{,"a":1}`,
	"H8 no comma":                              `{"a":1 "b":2}`,
	"H8 no colon":                              `{"a" 1}`,
	"H8 a key without quotes":                  `{a:1}`,
	"H8 single quotes":                         `{'a':1}`,
	"H8 a comment":                             `{"a":1/**/}`,
	"H8 a line comment":                        "//\n" + get,
	"H8 NaN":                                   `{"a":NaN}`,
	"H8 Infinity":                              `{"a":Infinity}`,
	"H8 a number with a plus":                  `{"a":+1}`,
	"H8 a number with a zero before":           `{"a":01}`,
	"H8 a number without digits":               `{"a":-}`,
	"H8 a number without a fraction":           `{"a":1.}`,
	"H8 a number without an exponent":          `{"a":1e}`,
	"H8 a number in hexadecimal":               `{"a":0x1}`,
	"H8 a number no float holds":               `{"a":1e999}`,
	"H8 a number no float holds, written out":  `{"a":1` + strings.Repeat("0", 400) + `}`,
	"H8 a number no float holds, hardly":       `{"a":2e308}`,
	"H8 309 digits":                            `{"a":` + strings.Repeat("9", 309) + `}`,
	"H8 210 digits and a power":                `{"a":9` + strings.Repeat("0", 209) + `e99}`,
	"H8 few digits and a large power":          `{"a":9` + strings.Repeat("0", 189) + `e120}`,
	"H8 a form feed for space":                 "{\f}",
	"H8 a no-break space for space":            "{\u00a0}",
	"H8 a control character in a string":       "{\"a\":\"\x01\"}",
	"H8 a line in a string":                    "{\"a\":\"\n\"}",
	"H8 an escape that is none":                `{"a":"\x41"}`,
	"H8 an escape that is cut off":             `{"a":"\u00`,
	"H8 a string without an end":               `{"a":"`,
	"H8 a key without an end":                  `{"a`,
	"H8 True":                                  `{"a":True}`,
	"H8 tru":                                   `{"a":tru`,
	"H8 too many levels":                       `{"a":` + strings.Repeat("[", 128) + strings.Repeat("]", 128) + "}",
	"H8 too many levels of objects":            `{"a":` + strings.Repeat(`{"a":`, 128) + "1" + strings.Repeat("}", 129),
	"H8 a key of nothing, twice":               `{"":1,"":2}`,
	"H8 more keys than anybody sends":          `{"a":{` + keys(10_001) + `}}`,
	"H8 a batch of nothing without end":        "[" + strings.Repeat("{},", 2000) + "{}]",
	"H8 levels without end":                    strings.Repeat(`{"a":`, 1_000_000),
	"H8 brackets without end":                  strings.Repeat(`[`, 1_000_000),
}

func TestParseRefuses(t *testing.T) {
	for name, body := range ambiguous {
		t.Run(name, func(t *testing.T) {
			calls, err := mcp.Parse([]byte(body))
			var bad *mcp.BadMessage
			if !errors.As(err, &bad) || calls != nil || bad.Reason == "" || bad.Code == 0 {
				t.Errorf("%+v, %v", calls, err)
			}
		})
	}
}

// TestParseSaysWhichMessage: where it is known, a refusal carries the id.
func TestParseSaysWhichMessage(t *testing.T) {
	_, err := mcp.Parse([]byte(`[{"id":1},{"method":"tools/call","id":"b"}]`))
	var bad *mcp.BadMessage
	if !errors.As(err, &bad) || string(bad.ID) != `"b"` {
		t.Errorf("%+v", bad)
	}
}

// TestParseRefusesWhatIsCutOff: wherever it is cut, and even where no memory
// follows.
func TestParseRefusesWhatIsCutOff(t *testing.T) {
	body := []byte(`[{"id":"a\u0062","method":"tools/call","params":{"name":"a\ud83d\ude00","arguments":{"a\n":[-1.5e3,true,"\u00e9"]}}}]`)
	for end := range body {
		if calls, err := mcp.Parse(body[:end:end]); err == nil {
			t.Errorf("%q: %v", body[:end], calls)
		}
	}
	if _, err := mcp.Parse(body); err != nil {
		t.Error(err)
	}
}

// keys are k0 to the last but one, as members.
func keys(n int) string { return members(n, `"k%d":%d`) }

// members are written by a format of a key and a value, both of which count.
func members(n int, format string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i, i)
	}
	return strings.Join(all, ",")
}

// TestParseReadsStringsAsOthersDo: every byte and every short character,
// wherever in a string of any length, is for us what it is for encoding/json,
// but for what is not UTF-8.
func TestParseReadsStringsAsOthersDo(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				for _, char := range []string{string([]byte{byte(c)}), string(rune(c))} {
					text := strings.Repeat("a", at) + char + strings.Repeat("a", length-at-1)
					for _, body := range []string{`{"a":"` + text + `"}`, `{"` + text + `":1}`} {
						want := json.Valid([]byte(body)) && utf8.ValidString(body)
						if _, err := mcp.Parse([]byte(body)); (err == nil) != want {
							t.Fatalf("%q: %v, want %v", body, err, want)
						}
					}
				}
			}
		}
	}
}

// TestParseFindsEveryKeyThatComesTwice: among however many keys, beside and
// within objects that have as many.
func TestParseFindsEveryKeyThatComesTwice(t *testing.T) {
	for _, n := range []int{1, 2, 15, 16, 17, 31, 32, 33, 34, 63, 64, 65, 66, 127, 128, 129, 1000, 9997} {
		inner := `{` + keys(min(n, 200)) + `}`
		once := `{"z":` + inner + `,` + keys(n) + `,"y":[` + inner + `,` + inner + `]`
		if _, err := mcp.Parse([]byte(once + "}")); err != nil {
			t.Fatalf("%d keys: %v", n, err)
		}
		for _, again := range []int{0, n / 3, n / 2, n - 1} {
			if _, err := mcp.Parse(fmt.Appendf(nil, `%s,"k%d":1}`, once, again)); err == nil {
				t.Errorf("%d keys: k%d twice", n, again)
			}
		}
	}
}
