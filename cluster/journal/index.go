package journal

import "slices"

// slot is the place of an entry. It takes 24 bytes.
type slot struct {
	index   uint64
	segment *segment
	offset  uint32 // of the record in the segment
	size    uint32 // of the content
}

// position is the place of the record in the whole journal.
func (s *slot) position() int64 { return s.segment.base + int64(s.offset) }

// index finds entries. The slots are in the order of their index, without those that were removed.
type index []slot

// at returns the position of the first slot with that index or a later one.
func (x index) at(i uint64) int {
	if len(x) == 0 || i <= x[0].index {
		return 0
	}
	if at := i - x[0].index; at < uint64(len(x)) && x[at].index == i { // there are no gaps
		return int(at)
	}
	at, _ := slices.BinarySearchFunc(x, i, func(s slot, i uint64) int {
		switch {
		case s.index < i:
			return -1
		case s.index > i:
			return 1
		}
		return 0
	})
	return at
}

func (x index) find(i uint64) (s slot, ok bool) {
	at := x.at(i)
	if at == len(x) || x[at].index != i {
		return s, false
	}
	return x[at], true
}

// bounds returns the first and the last index, or 0 and 0.
func (x index) bounds() (first, last uint64) {
	if len(x) == 0 {
		return 0, 0
	}
	return x[0].index, x[len(x)-1].index
}

// dropBefore removes the slots before that index. The memory is freed when the rest is copied,
// while it grows.
func (x index) dropBefore(i uint64) index {
	rest := x[x.at(i):]
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// dropFrom removes the slots from that index on.
func (x index) dropFrom(i uint64) index {
	rest := x[:x.at(i)]
	if len(rest) == 0 {
		return nil
	}
	return rest
}
