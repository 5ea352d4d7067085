package audit

import (
	"fmt"
	"slices"
)

// diagnose says which line is wrong where one does not follow the one before:
// that one, the one before, or some that are there no more.
func (v *verifier) diagnose(l line) {
	if v.seen == 0 {
		v.damage(l.number, "the beginning is missing: a file begins with a chain, or says which one it goes on with")
		return
	}
	if i := slices.Index(v.hashes, l.hash); i >= 0 {
		v.damage(l.number, fmt.Sprintf("it is line %d once more", v.numbers[i]))
		return
	}
	if l.prev == v.last.hash {
		v.damage(l.number, "its number is not the one that follows")
		return
	}
	if i := slices.Index(v.hashes, l.prev); i >= 0 {
		v.damage(v.numbers[i+1], fmt.Sprintf("it was inserted: line %d follows line %d", l.number, v.numbers[i]))
		return
	}
	ahead := v.lookAhead()
	switch {
	case slices.ContainsFunc(ahead, func(o line) bool { return o.hash == l.prev }):
		v.damage(l.number, "it is out of order")
	case len(ahead) > 0 && ahead[0].ours && ahead[0].follows(v.last):
		v.damage(l.number, "it was inserted")
	case v.gap(l) > 0:
		v.damage(l.number, fmt.Sprintf("%d lines before it are missing", v.gap(l)))
	case l.chain == v.last.chain || l.event == ChainBegun:
		v.damage(v.last.number, "it was written anew: the next line names another in its place")
	default:
		v.damage(l.number, "lines before it are missing: it is of another chain")
	}
}

// gap is how many lines are missing before l, as far as numbers tell.
func (v *verifier) gap(l line) uint64 {
	before := l.seq - 1
	switch {
	case l.event == ChainBegun:
		before = l.about().AfterSeq
	case l.chain != v.last.chain:
		return 0
	}
	return max(before, v.last.seq) - v.last.seq
}
