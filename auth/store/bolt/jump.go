package bolt

import "time"

const (
	// A clock that is ahead of the time that passed by this much has jumped.
	jumpLeast = time.Minute
	// jumpHold is how long nothing is swept after that. A clock that was wrong
	// has been put right by then; one that is right now stays so.
	jumpHold = time.Hour
)

// A jumps watches a clock: whether it moves as time passes. To a clock that is
// years ahead every record has expired, and what is swept does not come back
// with the right time.
type jumps struct {
	wall, passed time.Duration // the last reading; wall since 1970
	seen         bool
	hold         time.Duration // until when, in time passed; 0: not at all
}

// ahead reads both clocks, and says by how much the first has jumped ahead.
func (j *jumps) ahead(wall time.Time, passed time.Duration) time.Duration {
	now := time.Duration(wall.UnixNano())
	by := (now - j.wall) - (passed - j.passed)
	if !j.seen {
		by = 0
	}
	j.wall, j.passed, j.seen = now, passed, true
	if by >= jumpLeast {
		j.hold = passed + jumpHold
		return by
	}
	if -by >= jumpLeast { // put right
		j.hold = 0
	}
	return 0
}

// holds says whether nothing may be swept.
func (j *jumps) holds(passed time.Duration) bool { return j.hold != 0 && passed < j.hold }
