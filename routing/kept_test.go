package routing

import (
	"strconv"
	"testing"
)

// A request of very many headers is paid for once.
func TestRoomForManyHeadersIsNotKept(t *testing.T) {
	for names, kept := range map[int]bool{largeHeader: true, largeHeader + 1: false} {
		x := (&Route{}).exchange()
		for i := range names {
			x.header["X-"+strconv.Itoa(i)] = nil
		}
		x.hopped = true
		if x.finish(); kept != (len(x.header) == 0) {
			t.Errorf("%d names: %d are left", names, len(x.header))
		}
	}
}
