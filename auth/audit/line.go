package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
)

// A line is what matters of one for the chain.
type line struct {
	number int // in the file, from 1
	text   []byte
	hash   string

	ours  bool // it has the form of our lines, and its own hash
	chain string
	seq   uint64
	prev  string
	time  string
	event Event
}

func appendPlace(b []byte, chain string, seq uint64, prev []byte) []byte {
	b = append(append(b, `{"chain":"`...), chain...)
	b = strconv.AppendUint(append(b, `","seq":`...), seq, 10)
	b = append(append(b, `,"prev":"`...), prev...)
	return append(b, `",`...)
}

// hashField stands at the end of every line, around the hash of what stands
// before it.
const hashField = `,"hash":"`

// appendSeal ends the line that begins at start, and is complete but for its
// last brace, with its own hash.
func appendSeal(b []byte, start int) []byte {
	sum := sha256.Sum256(b[start:])
	b = append(b, hashField...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, `"}`...)
}

// sealLength is how many bytes appendSeal adds.
const sealLength = len(hashField) + 2*sha256.Size + len(`"}`)

// hashOf is how a line is named by the next: the hash at its end, or if it is
// none of ours that of all its bytes.
func hashOf(text []byte) (hash string, sealed bool) {
	if i := len(text) - sealLength; i > 0 {
		if own := appendSeal(slices.Clip(text[:i:i]), 0); bytes.Equal(own, text) {
			return string(own[i+len(hashField) : len(own)-2]), true
		}
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), false
}

// form is the one order and spelling of how our lines begin, so that no two
// readers find two different places in one.
var form = regexp.MustCompile(`^\{"chain":"([a-z0-9]{16})","seq":([1-9][0-9]{0,18}),"prev":"([0-9a-f]{64}|)","time":"([0-9TZ:.-]+)","audit":"([a-z_]+)",`)

// parseLine reads a line; false if it is none of ours.
func parseLine(text []byte) (line, bool) {
	hash, sealed := hashOf(text)
	l := line{text: text, hash: hash}
	m := form.FindSubmatch(text)
	if m == nil || !sealed || !json.Valid(text) {
		return l, false
	}
	seq, err := strconv.ParseUint(string(m[2]), 10, 64)
	if err != nil {
		return l, false
	}
	l.ours, l.chain, l.seq, l.prev, l.time, l.event = true, string(m[1]), seq, string(m[3]), string(m[4]), Event(m[5])
	return l, true
}

// about is what the lines of the chain itself say beside their place.
type about struct {
	Signature string `json:"signature"`
	AfterSeq  uint64 `json:"after_seq"`
	Torn      []byte `json:"torn"`
}

func (l line) about() about {
	var a about
	_ = json.Unmarshal(l.text, &a) // it is valid; what is of another type is not there
	return a
}

// follows tells whether l is where it belongs behind before: by its hash, and by
// its number in the chain or as the beginning of another.
func (l line) follows(before line) bool {
	if l.prev != before.hash {
		return false
	}
	if l.event == ChainBegun {
		return l.seq == 1 && l.chain != before.chain
	}
	return l.chain == before.chain && l.seq == before.seq+1
}

// opens tells whether a file may begin with l.
func (l line) opens() bool {
	switch l.event {
	case ChainBegun:
		return l.seq == 1 && l.prev == ""
	case FileOpened:
		return l.prev != "" && l.about().AfterSeq == l.seq-1
	}
	return false
}
