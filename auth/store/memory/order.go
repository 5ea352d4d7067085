package memory

import (
	"iter"
	"slices"
	"sort"
)

// maxChunk bounds how many keys an insertion or removal has to move.
const maxChunk = 512

// An order is a sorted set of keys, cut into chunks that are each sorted.
type order struct {
	chunks [][]string // none of them empty
}

// chunk returns the index of the chunk that key is in, or would be in.
func (o *order) chunk(key string) int {
	i := sort.Search(len(o.chunks), func(i int) bool {
		c := o.chunks[i]
		return c[len(c)-1] >= key
	})
	return min(i, len(o.chunks)-1)
}

// insert adds a key that is not there.
func (o *order) insert(key string) {
	if len(o.chunks) == 0 {
		o.chunks = [][]string{{key}}
		return
	}
	i := o.chunk(key)
	at, _ := slices.BinarySearch(o.chunks[i], key)
	c := slices.Insert(o.chunks[i], at, key)
	o.chunks[i] = c
	if len(c) > maxChunk {
		o.chunks = slices.Insert(o.chunks, i+1, slices.Clone(c[maxChunk/2:]))
		o.chunks[i] = slices.Clone(c[:maxChunk/2])
	}
}

// remove takes a key out that is there.
func (o *order) remove(key string) {
	i := o.chunk(key)
	at, _ := slices.BinarySearch(o.chunks[i], key)
	c := slices.Delete(o.chunks[i], at, at+1)
	o.chunks[i] = c
	switch {
	case len(c) == 0:
		o.chunks = slices.Delete(o.chunks, i, i+1)
	case i+1 < len(o.chunks) && len(c)+len(o.chunks[i+1]) <= maxChunk/4:
		o.chunks[i] = slices.Concat(c, o.chunks[i+1])
		o.chunks = slices.Delete(o.chunks, i+1, i+2)
	}
}

// after yields the keys greater than the given one, in order.
func (o *order) after(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if len(o.chunks) == 0 {
			return
		}
		first := o.chunk(key)
		for i, c := range o.chunks[first:] {
			if i == 0 {
				at, found := slices.BinarySearch(c, key)
				if found {
					at++
				}
				c = c[at:]
			}
			for _, k := range c {
				if !yield(k) {
					return
				}
			}
		}
	}
}
