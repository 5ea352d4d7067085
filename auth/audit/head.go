package audit

import (
	"encoding/json"
	"fmt"
	"time"
)

// HeadType is the media type of a signed head. No access token has it.
const HeadType = "audit-head+jws"

// A Head is the last line of a chain that was signed, as it is remembered
// outside of the file.
type Head struct {
	Chain string    `json:"chain"`
	Seq   uint64    `json:"seq"`
	Line  string    `json:"line"`            // the hash of the line that holds the signature
	After string    `json:"after,omitempty"` // the hash of the line that the chain began after
	Time  time.Time `json:"time"`
}

// signed is what a signature says: which line holds it, and by its hash the
// line before, which by its own stands for all before that.
type signed struct {
	Chain string `json:"chain"`
	Seq   uint64 `json:"seq"`
	Prev  string `json:"prev"`
	Time  string `json:"time"`
}

func (s signed) payload() ([]byte, error) { return json.Marshal(s) }

// line is the one spelling of the line that holds a signature, so that nothing
// in it goes unsigned.
func (s signed) line(jws string) []byte {
	b := fmt.Appendf(nil, `{"chain":%q,"seq":%d,"prev":%q,"time":%q,"audit":%q,"signature":%q`, s.Chain, s.Seq, s.Prev, s.Time, ChainSigned, jws)
	return appendSeal(b, 0)
}
