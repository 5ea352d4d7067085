package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Keys are what Verify believes. Nothing of a file is believed for its own sake:
// whoever can change a file can change whatever it says of itself.
type Keys struct {
	// Open returns what a JWS of type HeadType says, if one of the keys made it
	// and it has no other spelling. ErrUnknownKey is no proof of anything: keys
	// are not kept forever.
	Open func(jws string) (payload []byte, err error)
	// Heads are the last signed lines of chains, as they were remembered.
	Heads []Head
}

// ErrUnknownKey is what Keys.Open says of a signature of a key that it has not.
var ErrUnknownKey = errors.New("its key is not known")

// A Damage is the first line that is not as it was written.
type Damage struct {
	Line int    // in the file, from 1; one behind the last if the end is missing
	What string // what is wrong there
}

func (d *Damage) Error() string { return fmt.Sprintf("line %d: %s", d.Line, d.What) }

// A Report is what Verify found.
type Report struct {
	Lines     int      // that were looked at
	Skipped   int      // that are none of an audit log
	Chains    []string // in their order
	Signed    int      // the last line that a signature covers; 0: none
	SignedAt  string   // when that was
	Uncovered int      // lines behind it, or before the damage: nothing proves them yet
	Unknown   int      // signatures of unknown keys among those
	Notes     []string // what is no damage and worth knowing
	Damage    *Damage  // nil: there is none
}

// window is how far a line is looked for that is not where it belongs.
const window = 1024

// Verify reads a file of one chain after another. Only is a chain that is
// picked out of lines of others; empty: every line must be one of an audit log.
func Verify(r io.Reader, k Keys, only string) (Report, error) {
	v := &verifier{in: bufio.NewReaderSize(r, 64<<10), keys: k, only: only}
	for v.report.Damage == nil {
		l, err := v.next()
		if errors.Is(err, io.EOF) {
			v.ended()
			break
		}
		if err != nil {
			return v.report, err
		}
		v.look(l)
	}
	v.report.Uncovered = v.seen - v.signedSeen
	return v.report, nil
}

type verifier struct {
	in     *bufio.Reader
	keys   Keys
	only   string
	ahead  []line // read, not yet looked at
	number int
	cut    bool // the last line has no end

	report     Report
	seen       int
	signedSeen int // of seen, those that a signature covers
	last       line
	hashes     []string // of the last lines, in order; at most window
	numbers    []int
	over       bool // the chain has ended
	closed     bool // the last signed line says that the chain goes on elsewhere
	heads      []Head
}

// next returns the next line, from those that were read ahead or the file.
func (v *verifier) next() (line, error) {
	if len(v.ahead) > 0 {
		l := v.ahead[0]
		v.ahead = v.ahead[1:]
		return l, nil
	}
	return v.read()
}

// read reads on to the next line that counts.
func (v *verifier) read() (line, error) {
	for {
		text, err := v.readText()
		if err != nil {
			return line{}, err
		}
		v.number++
		l, _ := parseLine(text)
		if l.number = v.number; v.only == "" || l.chain == v.only {
			return l, nil
		}
		v.report.Skipped++
	}
}

// readText reads a line without its end.
func (v *verifier) readText() ([]byte, error) {
	var text []byte
	for {
		part, err := v.in.ReadSlice('\n')
		if text = append(text, part...); len(text) > maxLine+1 {
			return text[:maxLine], v.skipLine(err)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(text) > 0 {
			v.cut = true
			return text, nil
		}
		return bytes.TrimSuffix(text, []byte("\n")), err
	}
}

// skipLine reads to the end of a line that is too long to be ours.
func (v *verifier) skipLine(err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = v.in.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// look holds a line against those before it.
func (v *verifier) look(l line) {
	v.report.Lines = l.number
	switch {
	case v.cut && l.number == v.number:
		v.damage(l.number, "it does not end")
		return
	case !l.ours && form.Match(l.text):
		v.damage(l.number, "it was changed after it was written")
		return
	case !l.ours:
		v.damage(l.number, "it is no line of an audit log")
		return
	case v.seen == 0 && !l.opens(), v.seen > 0 && !l.follows(v.last):
		v.diagnose(l)
		return
	case v.over && l.event != ChainBegun && (l.event != ChainSigned || v.last.event != ChainEnded):
		v.damage(l.number, "it was added: the chain had ended")
		return
	}
	v.accept(l)
}

func (v *verifier) accept(l line) {
	v.seen++
	if l.event == ChainSigned && !v.signature(l) {
		return
	}
	if torn := len(l.about().Torn); l.event == ChainBegun && torn > 0 {
		v.note(l, fmt.Sprintf("the process before was stopped while it wrote; %d bytes of half a line are kept here", torn))
	}
	if !slices.Contains(v.report.Chains, l.chain) {
		v.report.Chains = append(v.report.Chains, l.chain)
	}
	if !v.remembered(l) {
		return
	}
	v.last, v.over = l, l.event == ChainEnded || v.over && l.event == ChainSigned
	v.hashes, v.numbers = append(v.hashes, l.hash), append(v.numbers, l.number)
	if len(v.hashes) > 2*window {
		v.hashes, v.numbers = slices.Clone(v.hashes[window:]), slices.Clone(v.numbers[window:])
	}
}

// remembered holds a line against the heads that are known.
func (v *verifier) remembered(l line) bool {
	for _, h := range v.keys.Heads {
		switch {
		case h.Chain == l.chain && h.Seq == l.seq && h.Line != l.hash:
			v.damage(l.number, "it is not the line that is remembered")
			return false
		case h.After == l.hash:
			v.heads = append(v.heads, h)
		case l.event == ChainBegun && h.Chain == v.last.chain && h.Seq > v.last.seq && !v.closed:
			v.damage(l.number, fmt.Sprintf("%d lines before it are missing", h.Seq-v.last.seq))
			return false
		}
	}
	return true
}

// signature checks a line that signs those before it.
func (v *verifier) signature(l line) bool {
	s := signed{l.chain, l.seq, l.prev, l.time}
	jws := l.about().Signature
	payload, err := s.payload()
	if err != nil || !bytes.Equal(s.line(jws), l.text) {
		v.damage(l.number, "it is not spelled as a signature is")
		return false
	}
	says, err := v.keys.Open(jws)
	if errors.Is(err, ErrUnknownKey) {
		v.report.Unknown++
		return true
	}
	if err != nil {
		v.damage(l.number, "its signature is not good: "+err.Error())
		return false
	}
	if !bytes.Equal(says, payload) {
		v.damage(l.number, "its signature is for another line")
		return false
	}
	v.closed = v.last.event == FileClosed && v.last.chain == l.chain
	v.signedSeen, v.report.Signed, v.report.SignedAt, v.report.Unknown = v.seen, l.number, l.time, 0
	return true
}

// ended holds the end of the file against what is remembered.
func (v *verifier) ended() {
	if v.seen == 0 {
		v.report.Notes = append(v.report.Notes, "there is no line")
		return
	}
	if v.last.event == ChainSigned && v.closed {
		return // the rest is in the next file
	}
	missing := func(h Head) {
		v.damage(v.report.Lines+1, fmt.Sprintf("the end is missing: chain %s went on to its line %d, which was signed at %s", h.Chain, h.Seq, h.Time.UTC().Format("2006-01-02 15:04:05")))
	}
	for _, h := range v.keys.Heads {
		if h.Chain == v.last.chain && h.Seq > v.last.seq {
			missing(h)
			return
		}
	}
	for _, h := range v.heads {
		if !slices.Contains(v.report.Chains, h.Chain) && v.only == "" {
			missing(h)
			return
		}
	}
}

func (v *verifier) note(l line, what string) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf("line %d: %s", l.number, what))
}

func (v *verifier) damage(number int, what string) {
	if v.report.Damage == nil {
		v.report.Damage = &Damage{number, what}
	}
}

// lookAhead reads as far as a moved line is looked for.
func (v *verifier) lookAhead() []line {
	for len(v.ahead) < window {
		l, err := v.read()
		if err != nil {
			break
		}
		v.ahead = append(v.ahead, l)
	}
	return v.ahead
}

// Chains lists the chains whose lines are among those of a file.
func Chains(r io.Reader) ([]string, error) {
	v := &verifier{in: bufio.NewReaderSize(r, 64<<10)}
	var chains []string
	for {
		l, err := v.read()
		if errors.Is(err, io.EOF) {
			return chains, nil
		}
		if err != nil {
			return nil, err
		}
		if l.ours && !slices.Contains(chains, l.chain) {
			if len(chains) == maxChains {
				return nil, fmt.Errorf("there are more than %d chains in it", maxChains)
			}
			chains = append(chains, l.chain)
		}
	}
}

// maxChains bounds how often a file is read.
const maxChains = 1000
